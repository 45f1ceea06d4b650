'use strict';
'require baseclass';

/* Tables whose rows are changed in place: what is selected, or being read, stays where it is. Every
 * text goes in as text. A name may be anything that a client has sent. */

function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

/* A value is a text, an element, or a text with a smaller one below it. */
function fillCell(cell, value) {
	if (value instanceof Node) {
		if (cell.firstChild !== value || cell.childNodes.length > 1)
			cell.replaceChildren(value);
	}
	else if (Array.isArray(value)) {
		if (cell.children.length !== 2)
			cell.replaceChildren(E('span'), E('small'));

		setText(cell.firstElementChild, String(value[0]));
		setText(cell.lastElementChild, String(value[1] ?? ''));
		cell.lastElementChild.style.display = value[1] ? 'block' : 'none';
	}
	else {
		setText(cell, String(value ?? ''));
	}
}

function newRow(columns) {
	return E('tr', { 'class': 'tr' }, columns.map((column) => {
		return E('td', {
			'class': 'td left',
			'data-column': column.key,
			'data-title': column.title
		}, []);
	}));
}

return baseclass.extend({
	/* A table with a row of titles. A column has a key and a title; `sorted` is called with the key
	 * of one that can be sorted by when its title is clicked. */
	create(id, columns, sorted) {
		const titles = columns.map((column) => {
			const title = E('th', { 'class': 'th left' }, [ column.title ]);

			if (sorted && column.sort) {
				title.setAttribute('data-sort', column.sort);
				title.setAttribute('role', 'button');
				title.setAttribute('tabindex', '0');
				title.style.cursor = 'pointer';
				title.addEventListener('click', () => { sorted(column.sort) });
				title.addEventListener('keydown', (ev) => {
					if (ev.key === 'Enter')
						sorted(column.sort);
				});
			}

			return title;
		});

		const table = E('table', { 'class': 'table', 'id': id }, [
			E('tr', { 'class': 'tr table-titles' }, titles)
		]);

		table.ankletColumns = columns;
		return table;
	},

	/* Marks the column that the rows are sorted by. */
	mark(table, key, reverse) {
		for (const title of table.querySelectorAll('th[data-sort]')) {
			const isIt = title.getAttribute('data-sort') === key;
			const column = table.ankletColumns.find((column) => {
				return column.sort === title.getAttribute('data-sort');
			});

			setText(title, isIt ? '%s %s'.format(column.title, reverse ? '▾' : '▴') : column.title);

			if (isIt)
				title.setAttribute('aria-sort', reverse ? 'descending' : 'ascending');
			else
				title.removeAttribute('aria-sort');
		}
	},

	/* Puts rows in the place of those before: { id, data, cells }, where `data` are attributes of the
	 * row and `cells` values by column. */
	update(table, rows, placeholder) {
		const columns = table.ankletColumns;
		const before = new Map();

		for (const row of table.querySelectorAll('tr[data-row]'))
			before.set(row.getAttribute('data-row'), row);

		table.querySelector('tr.placeholder')?.remove();

		let last = table.querySelector('tr.table-titles');

		rows.forEach((row, position) => {
			const id = String(row.id);
			const node = before.get(id) ?? newRow(columns);

			before.delete(id);
			node.setAttribute('data-row', id);

			for (const name in row.data)
				node.setAttribute('data-' + name, row.data[name]);

			columns.forEach((column, i) => {
				fillCell(node.children[i], row.cells[column.key]);
			});

			node.className = 'tr cbi-rowstyle-%d'.format(1 + position % 2);

			if (last.nextElementSibling !== node)
				last.after(node);

			last = node;
		});

		for (const row of before.values())
			row.remove();

		if (!rows.length)
			last.after(E('tr', { 'class': 'tr placeholder' }, [
				E('td', { 'class': 'td', 'colspan': columns.length }, [ E('em', {}, [ placeholder ]) ])
			]));
	}
});
