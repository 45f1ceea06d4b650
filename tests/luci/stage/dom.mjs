// A page's elements without a browser, as far as our pages use them.

class TextNode {
	constructor(text) {
		Object.assign(this, { nodeType: 3, textContent: text, parentNode: null });
	}

	remove() {
		this.parentNode?.removeChild(this);
	}
}

// A selector's parts between blanks: tag, #id, .class, [attribute="value"].
function fits(node, part) {
	const tests = part.match(/^[a-z0-9]+|#[\w-]+|\.[\w-]+|\[[^\]]+\]|:not\([^)]*\)/gi) ?? [];
	return tests.join('') == part && tests.every((test) => {
		if (test.startsWith('#'))
			return node.id == test.slice(1);
		if (test.startsWith('.'))
			return node.classList.contains(test.slice(1));
		if (test.startsWith(':not('))
			return !fits(node, test.slice(5, -1));
		if (test.startsWith('[')) {
			const [ , name, value ] = /^\[([\w-]+)(?:="?([^"]*)"?)?\]$/.exec(test);
			return value == null ? node.hasAttribute(name) : node.getAttribute(name) == value;
		}
		return node.tagName == test.toUpperCase();
	});
}

function is_selected(node, selector) {
	return selector.split(',').some((one) => {
		const parts = one.trim().split(/\s+/);
		if (!fits(node, parts.pop()))
			return false;
		for (let above = node.parentNode; parts.length && above?.tagName; above = above.parentNode)
			if (fits(above, parts.at(-1)))
				parts.pop();
		return !parts.length;
	});
}

class Element {
	constructor(tag) {
		Object.assign(this, { nodeType: tag ? 1 : 11, tagName: tag?.toUpperCase(), childNodes: [], attributes: {}, parentNode: null, listeners: {}, style: {} });
	}

	get id() { return this.getAttribute('id') ?? ''; }
	get className() { return this.getAttribute('class') ?? ''; }
	set className(names) { this.setAttribute('class', names); }
	get children() { return this.childNodes.filter((node) => node.nodeType == 1); }
	get options() { return this.querySelectorAll('option'); }
	get firstChild() { return this.childNodes[0] ?? null; }
	get lastChild() { return this.childNodes.at(-1) ?? null; }
	get firstElementChild() { return this.children[0] ?? null; }
	get lastElementChild() { return this.children.at(-1) ?? null; }
	get nextElementSibling() { return this.sibling(1); }
	get previousElementSibling() { return this.sibling(-1); }
	get textContent() { return this.childNodes.map((node) => node.textContent).join(''); }
	set textContent(text) { this.replaceChildren(...text === '' ? [] : [ text ]); }
	get value() { return this.held ?? (this.tagName == 'SELECT' ? this.options[0]?.getAttribute('value') : this.getAttribute('value')) ?? ''; }
	set value(value) { this.held = String(value); }
	get disabled() { return this.hasAttribute('disabled'); }
	set disabled(is) { this.toggleAttribute('disabled', Boolean(is)); }
	get hidden() { return this.hasAttribute('hidden'); }
	set hidden(is) { this.toggleAttribute('hidden', Boolean(is)); }

	get dataset() {
		return Object.fromEntries(Object.entries(this.attributes).filter(([ name ]) => name.startsWith('data-'))
			.map(([ name, value ]) => [ name.slice(5).replace(/-(.)/g, (_, sign) => sign.toUpperCase()), value ]));
	}

	get classList() {
		const names = () => this.className.split(/\s+/).filter(Boolean);
		const set = (list) => { this.className = list.join(' '); };
		return {
			contains: (name) => names().includes(name),
			add: (...more) => set([ ...new Set([ ...names(), ...more ]) ]),
			remove: (...gone) => set(names().filter((name) => !gone.includes(name))),
			toggle: (name, is) => set(is ?? !names().includes(name) ? [ ...new Set([ ...names(), name ]) ] : names().filter((one) => one != name))
		};
	}

	// As a text, no markup is read: a test sees what would have been.
	set innerHTML(text) {
		this.markup = text;
		this.replaceChildren(...text === '' ? [] : [ text ]);
	}

	sibling(step) {
		const all = this.parentNode?.children ?? [];
		return all[all.indexOf(this) + step] ?? null;
	}

	getAttribute(name) { return this.attributes[name] ?? null; }
	setAttribute(name, value) { this.attributes[name] = String(value); }
	hasAttribute(name) { return name in this.attributes; }
	removeAttribute(name) { delete this.attributes[name]; }

	toggleAttribute(name, is = !this.hasAttribute(name)) {
		is ? this.setAttribute(name, '') : this.removeAttribute(name);
	}

	insertBefore(node, before) {
		const nodes = node.nodeType == 11 ? [ ...node.childNodes ] : [ node ];
		for (const one of nodes) {
			one.remove();
			const at = before ? this.childNodes.indexOf(before) : this.childNodes.length;
			this.childNodes.splice(at, 0, one);
			one.parentNode = this;
		}
		return node;
	}

	appendChild(node) { return this.insertBefore(node, null); }
	append(...nodes) { nodes.forEach((node) => this.appendChild(typeof node == 'object' ? node : new TextNode(String(node)))); }
	prepend(node) { this.insertBefore(node, this.firstChild); }
	after(node) { this.parentNode.insertBefore(node, this.parentNode.childNodes[this.parentNode.childNodes.indexOf(this) + 1]); }
	before(node) { this.parentNode.insertBefore(node, this); }

	removeChild(node) {
		this.childNodes.splice(this.childNodes.indexOf(node), 1);
		node.parentNode = null;
		return node;
	}

	remove() { this.parentNode?.removeChild(this); }

	replaceChildren(...nodes) {
		for (const node of [ ...this.childNodes ])
			node.remove();
		this.append(...nodes);
	}

	replaceWith(node) {
		this.before(node);
		this.remove();
	}

	matches(selector) { return is_selected(this, selector); }

	closest(selector) {
		for (let node = this; node?.tagName; node = node.parentNode)
			if (is_selected(node, selector))
				return node;
		return null;
	}

	querySelectorAll(selector) {
		return this.children.flatMap((child) => [ ...is_selected(child, selector) ? [ child ] : [], ...child.querySelectorAll(selector) ]);
	}

	querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }
	addEventListener(event, call) { (this.listeners[event] ??= []).push(call); }
	focus() {}

	// What its listeners return, for a test to wait for.
	fire(type, more) {
		const event = { type, target: this, currentTarget: this, preventDefault() {}, stopPropagation() {}, ...more };
		return Promise.all((this.listeners[type] ?? []).map((call) => call.call(this, event)));
	}

	click() { return this.fire('click'); }
}

export function new_document() {
	const body = new Element('body');
	return {
		body,
		createElement: (tag) => new Element(tag),
		createTextNode: (text) => new TextNode(text),
		createDocumentFragment: () => new Element(null),
		querySelector: (selector) => body.querySelector(selector),
		querySelectorAll: (selector) => body.querySelectorAll(selector),
		getElementById: (id) => body.querySelector(`#${id}`),
		addEventListener() {},
		dispatchEvent() {}
	};
}

export { Element };
