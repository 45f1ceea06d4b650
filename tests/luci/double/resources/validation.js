// Double of LuCI's validation.js: the types of values that our forms name. Another name fails.
'use strict';
'require baseclass';

const is_ip4 = (text) => /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((part) => +part <= 255);

function is_ip6(text) {
	if (!/^[0-9a-fA-F:.]+$/.test(text) || !text.includes(':'))
		return false;
	try {
		return Boolean(new URL(`http://[${text}]/`));
	} catch {
		return false;
	}
}

const in_range = (text, low, high) => /^-?\d+(\.\d+)?$/.test(text) && +text >= low && +text <= high;
const is_number = (text) => /^\d+$/.test(text);
const with_mask = (is_address, bits) => (text, nomask) => {
	const [ address, mask, ...more ] = text.split('/');
	return !more.length && is_address(address) && (mask == null || (!nomask && is_number(mask) && +mask <= bits));
};

// Each says whether the text is one; what it expects otherwise stands behind.
const TYPES = {
	string: [ () => true, '' ],
	integer: [ (text) => /^-?\d+$/.test(text), 'valid integer value' ],
	uinteger: [ is_number, 'positive integer value' ],
	min: [ (text, low) => in_range(text, +low, Infinity), 'value greater or equal to %f' ],
	max: [ (text, high) => in_range(text, -Infinity, +high), 'value smaller or equal to %f' ],
	range: [ (text, low, high) => in_range(text, +low, +high), 'value between %f and %f' ],
	minlength: [ (text, low) => text.length >= +low, 'value with at least %d characters' ],
	maxlength: [ (text, high) => text.length <= +high, 'value with at most %d characters' ],
	rangelength: [ (text, low, high) => text.length >= +low && text.length <= +high, 'value between %d and %d characters' ],
	port: [ (text) => is_number(text) && +text <= 65535, 'valid port value' ],
	portrange: [ (text) => {
		const ports = text.split('-');
		return ports.length <= 2 && ports.every((port) => is_number(port) && +port <= 65535) && +ports[0] <= +ports.at(-1);
	}, 'valid port or port range (port1-port2)' ],
	ip4addr: [ with_mask(is_ip4, 32), 'valid IPv4 address' ],
	ip6addr: [ with_mask(is_ip6, 128), 'valid IPv6 address' ],
	ipaddr: [ (text, nomask) => with_mask(is_ip4, 32)(text, nomask) || with_mask(is_ip6, 128)(text, nomask), 'valid IP address' ],
	cidr: [ (text) => text.includes('/') && TYPES.ipaddr[0](text), 'valid IPv4 or IPv6 CIDR' ],
	hostname: [ (text) => /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/.test(text), 'valid hostname' ],
	host: [ (text) => TYPES.hostname[0](text) || TYPES.ipaddr[0](text, true), 'valid hostname or IP address' ],
	uciname: [ (text) => /^[a-zA-Z0-9_]+$/.test(text), 'valid UCI identifier' ],
	ucifw4zonename: [ (text) => /^[a-zA-Z_.][a-zA-Z0-9\/_.-]*$/.test(text), 'valid fw4 zone name' ],
	file: [ (text) => text.startsWith('/'), 'valid file name' ],
	network: [ (text) => TYPES.uciname[0](text) || TYPES.hostname[0](text) || TYPES.ipaddr[0](text, true), 'valid UCI identifier, hostname or IP address range' ]
};

// or(a, b(1)), list(x), not(x): what is wrong, null if nothing.
function fault(code, text) {
	const [ , name, inner ] = /^\s*([a-z0-9_]+)\s*(?:\(([\s\S]*)\))?\s*$/.exec(code) ?? [];
	const parts = split(inner ?? '');
	const plain = parts.map((part) => part.trim().replace(/^(['"])(.*)\1$/, '$2'));
	const literal = (part, at) => /^\s*(['"])/.test(parts[at]) ? (plain[at] == text ? null : plain[at]) : fault(part, text);
	if (name == 'and')
		return parts.map(literal).find((one) => one != null) ?? null;
	if (name == 'or') {
		const faults = parts.map(literal);
		return faults.includes(null) ? null : `one of the following:\n${faults.map((one) => ` - ${one}`).join('\n')}`;
	}
	if (name == 'not' || name == 'neg')
		return name == 'not' ? (fault(inner, text) == null ? 'another value' : null) : fault(inner, text.replace(/^!\s*/, ''));
	if (name == 'list')
		return text.split(/\s+/).map((part) => fault(inner, part)).find((one) => one != null) ?? null;
	const [ is_valid, expected ] = TYPES[name] ?? L.raise('SyntaxError', 'Unhandled token "%s"', code);
	return is_valid(text, ...plain) ? null : expected.format(...plain);
}

function split(text) {
	const parts = [ '' ];
	let depth = 0;
	for (const sign of text) {
		depth += sign == '(' ? 1 : sign == ')' ? -1 : 0;
		if (sign == ',' && !depth)
			parts.push('');
		else
			parts[parts.length - 1] += sign;
	}
	return parts.filter((part) => part.trim());
}

return baseclass.extend({
	// What is wrong with a value, null if nothing is.
	fault(type, is_optional, text, check) {
		if (text === '')
			return is_optional ? null : _('Expecting: %s').format(_('non-empty value'));
		const wrong = type ? fault(type, text) : null;
		if (wrong != null)
			return _('Expecting: %s').format(wrong);
		return null;
	},

	// As a field is marked: the element with the value, and what it says itself.
	apply(field, type, is_optional, check) {
		const said = this.fault(type, is_optional, field.value ?? '');
		const own = said == null && check ? check(field.value ?? '') : true;
		const wrong = said ?? (own === true ? null : String(own));
		field.classList.toggle('cbi-input-invalid', wrong != null);
		if (wrong == null)
			field.removeAttribute('data-tooltip');
		else
			field.setAttribute('data-tooltip', wrong);
		return wrong;
	}
});
