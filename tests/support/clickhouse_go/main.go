// Asks as Grafana's ClickHouse data source does: clickhouse-go over HTTP, with gzip, and without compression.
// Arguments: host:port, API key, SQL. Prints columns, types and the number of rows; exits with 1 where something fails.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func main() {
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionGZIP, clickhouse.CompressionNone} {
		if err := ask(method); err != nil {
			fmt.Println("FAILED:", err)
			os.Exit(1)
		}
	}
}

func ask(method clickhouse.CompressionMethod) error {
	db := clickhouse.OpenDB(&clickhouse.Options{
		Addr:        []string{os.Args[1]},
		Protocol:    clickhouse.HTTP,
		HttpUrlPath: "/clickhouse/",
		Auth:        clickhouse.Auth{Database: "default", Username: "grafana", Password: os.Args[2]},
		Compression: &clickhouse.Compression{Method: method},
		Settings:    clickhouse.Settings{"max_execution_time": 20, "enable_http_compression": 1},
		DialTimeout: 5 * time.Second,
	})
	defer db.Close()
	ctx := context.Background()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, os.Args[3])
	if err != nil {
		return err
	}
	defer rows.Close()
	names, _ := rows.Columns()
	types, _ := rows.ColumnTypes()
	kinds := make([]string, len(types))
	for i, kind := range types {
		kinds[i] = kind.DatabaseTypeName()
	}
	count := 0
	for rows.Next() {
		values := make([]any, len(names))
		places := make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return err
		}
		count++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	fmt.Println(strings.Join(names, "|"), strings.Join(kinds, "|"), count)
	if _, err := db.QueryContext(ctx, "SELECT * FROM system.tables"); err == nil || !strings.Contains(err.Error(), "497") {
		return fmt.Errorf("system.tables was not refused: %v", err)
	}
	return nil
}
