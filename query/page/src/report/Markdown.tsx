// Markdown as Preact elements. No HTML is made from text: tags in the text stay text.
import { Lexer, type Token, type Tokens } from "marked";
import type { ComponentChildren, JSX, VNode } from "preact";
import { useMemo } from "preact/hooks";
import { decodeEntities, isOwnImage, safeHref } from "./markdownText";

/** Render a block of code in a special way; null renders it as code. */
export type RenderBlock = (language: string, text: string, key: string) => VNode | null;

const MAX_DEPTH = 60;

export function Markdown({ text, block }: { text: string; block?: RenderBlock }) {
  const tokens = useMemo(() => lex(text), [text]);
  if (!tokens) return <pre class="markdown">{text}</pre>;
  return <div class="markdown">{blocks(tokens, block ?? (() => null), 0)}</div>;
}

/** Return null if the text is nested too deeply. */
function lex(text: string): Token[] | null {
  try {
    return Lexer.lex(text, { gfm: true });
  } catch {
    return null;
  }
}

function blocks(tokens: readonly Token[], block: RenderBlock, depth: number): ComponentChildren {
  const seen = new Map<string, number>();
  return tokens.map((token, index) => {
    if (token.type !== "code") return <BlockToken key={index} token={token} block={block} depth={depth} />;
    const code = token as Tokens.Code;
    const language = /^\S*/.exec(code.lang ?? "")![0];
    // The key of a live block is its text, so that it keeps its state while the text around it is edited.
    const source = `${language}\n${code.text}`;
    const occurrence = seen.get(source) ?? 0;
    seen.set(source, occurrence + 1);
    return (
      block(language, code.text, `${occurrence} ${source}`) ?? (
        <pre key={index} tabIndex={0}>
          <code>{code.text}</code>
        </pre>
      )
    );
  });
}

function BlockToken({ token, block, depth }: { token: Token; block: RenderBlock; depth: number }): VNode | null {
  if (depth > MAX_DEPTH) return <>{token.raw}</>;
  const inside = () => inline((token as Tokens.Generic).tokens ?? [], depth + 1);
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading": {
      // The name of the report is the first heading of the page.
      const Tag = `h${Math.min((token as Tokens.Heading).depth + 1, 6)}` as "h2";
      return <Tag>{inside()}</Tag>;
    }
    case "paragraph":
      return <p>{inside()}</p>;
    case "text":
      return <>{(token as Tokens.Text).tokens ? inside() : decodeEntities((token as Tokens.Text).text)}</>;
    case "blockquote":
      return <blockquote>{blocks((token as Tokens.Blockquote).tokens, block, depth + 1)}</blockquote>;
    case "hr":
      return <hr />;
    case "checkbox":
      return <InlineToken token={token} depth={depth} />;
    case "list":
      return <List list={token as Tokens.List} block={block} depth={depth} />;
    case "table":
      return <Table table={token as Tokens.Table} depth={depth} />;
    default:
      return <p>{token.raw}</p>;
  }
}

function List({ list, block, depth }: { list: Tokens.List; block: RenderBlock; depth: number }) {
  const items = list.items.map((item, index) => (
    <li key={index} class={item.task ? "task" : undefined}>
      {blocks(item.tokens, block, depth + 1)}
    </li>
  ));
  return list.ordered ? <ol start={Number(list.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function Table({ table, depth }: { table: Tokens.Table; depth: number }) {
  const align = (index: number): string | undefined => table.align[index] ?? undefined;
  return (
    <div class="scrolled" tabIndex={0} role="region" aria-label="Table">
      <table class="plain-table">
        <thead>
          <tr>
            {table.header.map((cell, index) => (
              <th key={index} scope="col" class={align(index)}>
                {inline(cell.tokens, depth + 1)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, y) => (
            <tr key={y}>
              {row.map((cell, index) => (
                <td key={index} class={align(index)}>
                  {inline(cell.tokens, depth + 1)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(tokens: readonly Token[], depth: number): ComponentChildren {
  return tokens.map((token, index) => <InlineToken key={index} token={token} depth={depth} />);
}

function InlineToken({ token, depth }: { token: Token; depth: number }): JSX.Element {
  if (depth > MAX_DEPTH) return <>{token.raw}</>;
  const inside = () => inline((token as Tokens.Generic).tokens ?? [], depth + 1);
  switch (token.type) {
    case "text":
      return <>{(token as Tokens.Text).tokens ? inside() : decodeEntities((token as Tokens.Text).text)}</>;
    case "escape":
      return <>{(token as Tokens.Escape).text}</>;
    case "strong":
      return <strong>{inside()}</strong>;
    case "em":
      return <em>{inside()}</em>;
    case "del":
      return <del>{inside()}</del>;
    case "codespan":
      return <code>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br />;
    case "checkbox":
      return (
        <span class="box" role="img" aria-label={(token as Tokens.Generic).checked ? "done" : "to do"}>
          {(token as Tokens.Generic).checked ? "☑" : "☐"}
        </span>
      );
    case "link":
      return <Link link={token as Tokens.Link}>{inside()}</Link>;
    case "image":
      return <Picture image={token as Tokens.Image} />;
    default:
      return <>{token.raw}</>;
  }
}

function Link({ link, children }: { link: Tokens.Link; children: ComponentChildren }) {
  const href = safeHref(decodeEntities(link.href), location.href);
  if (href === null) return <>{link.raw}</>;
  const own = new URL(href, location.href).origin === location.origin;
  const title = link.title ? decodeEntities(link.title) : undefined;
  return own ? (
    <a href={href} title={title}>
      {children}
    </a>
  ) : (
    <a href={href} title={title} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

function Picture({ image }: { image: Tokens.Image }) {
  const href = decodeEntities(image.href);
  if (isOwnImage(href, location.href)) return <img src={href} alt={decodeEntities(image.text)} loading="lazy" />;
  const link = safeHref(href, location.href);
  if (link === null) return <>{image.raw}</>;
  return (
    <a href={link} target="_blank" rel="noopener noreferrer">
      {decodeEntities(image.text) || "picture"}
    </a>
  );
}
