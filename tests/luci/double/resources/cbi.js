// Double of LuCI's cbi.js: what it adds to the page before anything else.
'use strict';

function _(text) {
	return window.TR[text] ?? text;
}

function N_(count, one, many) {
	return _(count == 1 ? one : many);
}

const escape_markup = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const UNITS = [ '', 'K', 'M', 'G', 'T', 'P' ];

// 12.34 K: %1000.2m, or %1024.2m with steps of 1024.
function metric(value, step, digits) {
	let at = 0;
	for (value = +value || 0; Math.abs(value) >= step && at < UNITS.length - 1; at++)
		value /= step;
	return `${value.toFixed(at || value % 1 ? digits : 0)} ${UNITS[at]}`;
}

function duration(seconds) {
	const parts = [ [ 86400, 'd' ], [ 3600, 'h' ], [ 60, 'm' ] ].map(([ size, unit ]) => {
		const count = Math.floor(seconds / size);
		seconds %= size;
		return count ? `${count}${unit} ` : '';
	});
	return `${parts.join('')}${Math.floor(seconds)}s`;
}

String.prototype.format = function(...values) {
	return this.replace(/%(-?)(0?)([0-9]*)(?:\.([0-9]+))?([%sdfxXhjtmu])/g, (all, left, zero, width, digits, kind) => {
		if (kind == '%')
			return '%';
		const value = values.shift();
		switch (kind) {
		case 'm': return metric(value, +width || 1000, +(digits ?? 2));
		case 't': return duration(+value || 0);
		case 'h': return escape_markup(value ?? '');
		case 'j': return JSON.stringify(value);
		}
		const said = kind == 'd' || kind == 'u' ? String(Math.floor(+value || 0))
			: kind == 'f' ? (+value || 0).toFixed(digits ?? 6)
			: kind == 'x' ? (+value || 0).toString(16)
			: kind == 'X' ? (+value || 0).toString(16).toUpperCase() : String(value ?? '').slice(0, digits);
		return left ? said.padEnd(+width) : said.padStart(+width, zero || ' ');
	});
};

String.format = (text, ...values) => text.format(...values);
