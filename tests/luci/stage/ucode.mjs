// Runs the router's ucode in node, where there is no ucode. The language is JavaScript but for a
// few things; those that our plugins use are translated, and what is not known here is refused, so
// that nothing runs with another meaning than on a router:
//
//   for (let x in list)         the elements of a list, the keys of an object; of nothing, none
//   for (let k, v in object)    keys and values
//   x in list                   is it an element
//   x === null                  what is not there is null
//   0600                        is octal
//   /^a$/                       ^ and $ are at the ends of each line, but with the flag s
//   a / b, list[-1], import,    not translated, or not there at all: refused
//   let { a } = b
//
// Strings are bytes there; here they have a character for each byte.

import { readFileSync } from 'node:fs';

// Words behind which a slash begins a regular expression.
const BEFORE_REGEX = new Set([ 'return', 'in', 'case', 'typeof', 'delete', 'else' ]);

const PATTERNS = [
	[ 'space', /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\//y ],
	[ 'string', /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y ],
	[ 'number', /(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/y ],
	[ 'word', /[A-Za-z_$][A-Za-z0-9_$]*/y ],
	[ 'sign', /\.\.\.|===|!==|=>|\?\?=|&&=|\|\|=|\?\.|\?\?|&&|\|\||==|!=|<=|>=|<<|>>|\+\+|--|[-+*%&|^]=|[-+*%&|^~!<>=?:;,.(){}[\]]/y ]
];
const REGEX_SIGNS = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\]|\\.)*\])+\/[a-z]*/y;

function match_at(pattern, text, at) {
	pattern.lastIndex = at;
	return pattern.exec(text)?.[0];
}

// A regular expression with the meaning that it has for regcomp(): REG_NEWLINE, but with the flag s.
function pattern_of(said) {
	const end = said.lastIndexOf('/');
	const flags = said.slice(end + 1);
	if (flags.includes('s'))
		return said;
	return `${said.slice(0, end).replace(/(\\.)|\[\^/g, (all, escaped) => escaped ?? '[^\\n')}/${flags}m`;
}

// The end of a template, behind its last backquote; its parts in ${} are translated on the way.
function read_template(text, at) {
	let said = '`';
	for (at++; text[at] != '`'; ) {
		if (text[at] == '\\') {
			said += text.slice(at, at + 2);
			at += 2;
		} else if (text.startsWith('${', at)) {
			let end = at + 2, depth = 1;
			while (depth) {
				if (text[end] == '`')
					end = read_template(text, end).end - 1;
				depth += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
				if (++end > text.length)
					throw new SyntaxError('a template without an end');
			}
			said += `\${${translate(text.slice(at + 2, end - 1))}}`;
			at = end;
		} else {
			said += text[at++];
		}
	}
	return { said: `${said}\``, end: at + 1 };
}

function tokens_of(text) {
	const tokens = [];
	let last = null;
	for (let at = 0; at < text.length; ) {
		let kind, said;
		if (text[at] == '`') {
			const template = read_template(text, at);
			tokens.push(last = { kind: 'string', said: template.said });
			at = template.end;
			continue;
		}
		for (const [ name, pattern ] of PATTERNS) {
			said = match_at(pattern, text, at);
			if (said != null) {
				kind = name;
				break;
			}
		}
		if (said == null && text[at] == '/') {
			const value_before = last && (last.kind == 'number' || last.kind == 'string' ||
				(last.kind == 'word' && !BEFORE_REGEX.has(last.said)) || /^[)\]}]$/.test(last.said));
			const found = value_before ? null : match_at(REGEX_SIGNS, text, at);
			if (found) {
				last = { kind: 'string', said: pattern_of(found) };
				tokens.push(last);
				at += found.length;
				continue;
			}
		}
		if (said == null)
			throw new SyntaxError(`not translated: ${text.slice(at, at + 30)}`);
		const token = { kind, said };
		tokens.push(token);
		if (kind != 'space')
			last = token;
		at += said.length;
	}
	return tokens;
}

const OPEN = /^[([{]$/, CLOSE = /^[)\]}]$/;
// What ends an operand of `in`.
const END = /^(?:&&|\|\||\?|\?\?|:|,|;|=|=>|return|!)$/;

// Where the bracket that is open at `from` is closed.
function closing(tokens, from) {
	for (let at = from, depth = 0; at < tokens.length; at++) {
		if (tokens[at].kind == 'string')
			continue;
		depth += OPEN.test(tokens[at].said) ? 1 : CLOSE.test(tokens[at].said) ? -1 : 0;
		if (!depth)
			return at;
	}
	throw new SyntaxError('a bracket is not closed');
}

// The operand of `in` in one direction: where it ends.
function operand(tokens, from, step) {
	let at = from + step, depth = 0;
	for (; tokens[at]; at += step) {
		const { kind, said } = tokens[at];
		if (kind == 'string')
			continue;
		depth += (OPEN.test(said) ? 1 : CLOSE.test(said) ? -1 : 0) * step;
		if (depth < 0 || (!depth && END.test(said)))
			break;
	}
	return at - step;
}

const text_of = (tokens) => tokens.map((token) => token.said).join('');

// The header of a loop over something; null for any other loop.
function header(inner) {
	const words = inner.filter((token) => token.kind != 'space');
	const let_at = words[0]?.said == 'let' ? 1 : 0;
	const pair = words[let_at + 1]?.said == ',';
	const in_at = let_at + (pair ? 3 : 1);
	if (words[in_at]?.said != 'in')
		return null;
	const over = translate_tokens(inner.slice(inner.indexOf(words[in_at]) + 1)).trim();
	const names = words[let_at].said + (pair ? `, ${words[let_at + 2].said}` : '');
	const before = let_at ? 'let ' : '';
	return pair ? `(${before}[${names}] of $pairs(${over}))` : `(${before}${names} of $each(${over}))`;
}

function translate_tokens(tokens) {
	const said = [];
	for (let at = 0; at < tokens.length; at++) {
		const token = tokens[at];
		const next = tokens.slice(at + 1).find((other) => other.kind != 'space');
		if (token.kind == 'word' && token.said == 'for') {
			const open = tokens.findIndex((other, index) => index > at && other.said == '(');
			const close = closing(tokens, open);
			const inner = tokens.slice(open + 1, close);
			said.push({ said: `for ${header(inner) ?? `(${translate_tokens(inner)})`}`, kind: 'word' });
			at = close;
		} else if (token.kind == 'word' && token.said == 'in') {
			const end = operand(tokens, at, 1);
			const from = operand(said, said.length, -1);
			const left = text_of(said.splice(from)), right = translate_tokens(tokens.slice(at + 1, end + 1));
			said.push({ said: `$in(${left.trim()}, ${right.trim()})`, kind: 'string' });
			at = end;
		} else if (token.kind == 'word' && /^(?:import|export|elif|endif|endfor|endwhile)$/.test(token.said)) {
			throw new SyntaxError(`not translated: ${token.said}`);
		} else if ((token.said == 'let' || token.said == 'const') && token.kind == 'word' && next?.kind != 'word') {
			throw new SyntaxError(`not ucode: ${token.said} ${next?.said}`);
		} else if (token.kind == 'number' && /^0[0-7]+$/.test(token.said)) {
			said.push({ ...token, said: `0o${token.said.slice(1)}` });
		} else if (token.said == '[' && next?.said == '-') {
			throw new SyntaxError('not translated: an index from the end');
		} else if ((token.said == '===' || token.said == '!==') && next?.said == 'null') {
			said.push({ ...token, said: token.said.slice(0, 2) });
		} else {
			said.push(token);
		}
	}
	return text_of(said);
}

export function translate(text) {
	return translate_tokens(tokens_of(text));
}

// What a file returns; `scope` is what it finds beside itself, functions of the language included.
export function run(file, scope) {
	const names = Object.keys(scope);
	const body = `${translate(readFileSync(file, 'latin1'))}\n//# sourceURL=${file}`;
	return new Function(...names, body)(...names.map((name) => scope[name]));
}
