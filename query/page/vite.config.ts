import { defineConfig } from "vite";

// In development `vite` serves the page and passes the API on to a query service: RUNSTREAM_BASE_URL names it.
const service = process.env.RUNSTREAM_BASE_URL ?? "http://127.0.0.1:7461";

export default defineConfig({
  base: "/",
  build: {
    outDir: "../runstream_query/transport/http/built",
    emptyOutDir: true,
    assetsDir: "api/page",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": { target: service, changeOrigin: true } } },
  test: { include: ["test/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
