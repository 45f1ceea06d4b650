// Double of LuCI's luci.js: the loader of modules, classes, the page's elements, polling, requests
// and the view. It does what our pages ask of the original, as the original does it, pitfalls
// included: text that is given as such becomes markup, in a list it does not.
'use strict';

(function() {
	const environment = {};
	const modules = {};

	const Class = Object.assign(function() {}, {
		extend(members) {
			const Base = this;
			const Made = function(...words) {
				this.__init__(...words);
			};
			Made.prototype = Object.create(Base.prototype, { constructor: { value: Made, writable: true } });
			for (const [ name, member ] of Object.entries(Object.getOwnPropertyDescriptors(members)))
				Object.defineProperty(Made.prototype, name, { ...member, enumerable: false });
			return Object.assign(Made, Base);
		},

		singleton(members, ...words) {
			return this.extend(members).instantiate(words);
		},

		instantiate(words) {
			return new this(...words);
		},

		isSubclass(other) {
			return typeof other == 'function' && other.prototype instanceof this;
		}
	});

	Object.assign(Class.prototype, {
		__init__() {},

		// The method of the base; while that runs, its own base is the next.
		super(name, ...words) {
			const stack = (this.__stack__ ??= {})[name] ??= [ Object.getPrototypeOf(this) ];
			let base = stack[0];
			if (stack.length == 1)
				while (!Object.hasOwn(base, name))
					base = Object.getPrototypeOf(base);
			base = Object.getPrototypeOf(base);
			while (base && !Object.hasOwn(base, name))
				base = Object.getPrototypeOf(base);
			if (!base)
				return null;
			stack.unshift(base);
			try {
				return base[name].apply(this, words.length == 1 && (Array.isArray(words[0]) || L.isArguments(words[0])) ? [ ...words[0] ] : words);
			} finally {
				stack.shift();
			}
		}
	});

	const instances = new WeakMap();
	const is_node = (one) => one != null && typeof one == 'object' && 'nodeType' in one;

	const dom = Class.singleton({
		elem: is_node,

		parse(text) {
			return new DOMParser().parseFromString(text, 'text/html').body.firstChild;
		},

		matches: (node, selector) => is_node(node) && Boolean(node.matches?.(selector)),

		parent: (node, selector) => node?.closest?.(selector) ?? null,

		append(node, children) {
			if (!is_node(node) || children == null)
				return null;
			if (Array.isArray(children)) {
				for (const child of children)
					if (child != null)
						node.appendChild(is_node(child) ? child : document.createTextNode(String(child)));
				return node.lastChild;
			}
			if (typeof children == 'function')
				return dom.append(node, children(node));
			if (is_node(children))
				return node.appendChild(children);
			node.innerHTML = String(children);
			return node.lastChild;
		},

		content(node, children) {
			node.replaceChildren();
			return dom.append(node, children);
		},

		attr(node, key, value) {
			for (const [ name, said ] of Object.entries(L.isObject(key) ? key : { [key]: value }))
				if (typeof said == 'function')
					node.addEventListener(name, said);
				else if (said != null)
					node.setAttribute(name, typeof said == 'object' ? JSON.stringify(said) : said);
		},

		create(what, attributes, children) {
			if (!L.isObject(attributes) || Array.isArray(attributes) || is_node(attributes))
				children = attributes, attributes = null;
			let node;
			if (Array.isArray(what)) {
				node = document.createDocumentFragment();
				for (const one of what)
					node.appendChild(is_node(one) ? one : dom.create(one));
			} else {
				node = is_node(what) ? what : what.startsWith('<') ? dom.parse(what) : document.createElement(what);
			}
			if (attributes)
				dom.attr(node, attributes);
			dom.append(node, children);
			return node;
		},

		data(node, key, value) {
			const data = instances.get(node) ?? {};
			if (value !== undefined)
				instances.set(node, { ...data, [key]: value });
			return value ?? (key == null ? data : data[key]);
		},

		bindClassInstance(node, instance) {
			return dom.data(node, '_class', instance);
		},

		findClassInstance(node) {
			while (node && !dom.data(node, '_class'))
				node = node.parentNode;
			return node ? dom.data(node, '_class') : null;
		},

		callClassMethod(node, method, ...words) {
			const instance = dom.findClassInstance(node);
			return typeof instance?.[method] == 'function' ? instance[method](...words) : null;
		},

		isEmpty: (node, is_ignored) => ![ ...node?.children ?? [] ].some((child) => !child.classList.contains('hidden') && !is_ignored?.(child))
	});

	const poll = Class.singleton({
		queue: [],

		add(call, interval) {
			if (typeof call != 'function')
				throw new TypeError('Invalid argument to LuCI.poll.add()');
			if (poll.queue.some((entry) => entry.call == call))
				return false;
			poll.queue.push({ call, interval: interval || environment.pollinterval, is_ready: true });
			if (poll.tick != null)
				poll.start();
			return true;
		},

		remove(call) {
			const before = poll.queue.length;
			poll.queue = poll.queue.filter((entry) => entry.call != call);
			return poll.queue.length < before;
		},

		start() {
			if (poll.timer)
				return false;
			poll.tick = 0;
			if (poll.queue.length) {
				poll.timer = setInterval(poll.step, 1000);
				poll.step();
				document.dispatchEvent(new CustomEvent('poll-start'));
			}
			return true;
		},

		stop() {
			if (!poll.timer)
				return false;
			clearInterval(poll.timer);
			poll.timer = null;
			document.dispatchEvent(new CustomEvent('poll-stop'));
			return true;
		},

		step() {
			for (const entry of [ ...poll.queue ]) {
				if (poll.tick % entry.interval || !entry.is_ready)
					continue;
				entry.is_ready = false;
				Promise.resolve(entry.call()).catch((error) => console.error(error)).finally(() => { entry.is_ready = true; });
			}
			poll.tick++;
		},

		active: () => poll.timer != null
	});

	const request = Class.singleton({
		async request(target, { method = 'GET', content, headers } = {}) {
			const answer = await fetch(target, { method, body: content == null ? undefined : JSON.stringify(content), headers });
			const said = await answer.text();
			return { ok: answer.ok, status: answer.status, statusText: answer.statusText, url: answer.url, text: () => said, json: () => JSON.parse(said) };
		},

		get: (url, options) => request.request(url, { ...options, method: 'GET' }),
		post: (url, content, options) => request.request(url, { ...options, method: 'POST', content })
	});

	const View = Class.extend({
		__init__() {
			const page = document.getElementById('view');
			dom.content(page, E('div', { class: 'spinning' }, [ _('Loading view…') ]));
			return Promise.resolve(L.ready)
				.then(() => this.load())
				.then((loaded) => this.render(loaded))
				.then((nodes) => {
					dom.content(page, nodes);
					dom.append(page, this.addFooter());
				}).catch((error) => L.error(error));
		},

		load() {},

		render() {},

		forms(method) {
			return Promise.all([ ...document.querySelectorAll('#maincontent .cbi-map') ].map((map) => dom.callClassMethod(map, method)));
		},

		handleSave() {
			return this.forms('save');
		},

		handleSaveApply(event, mode) {
			return this.handleSave(event).then(() => modules.ui.changes.apply(mode == '0'));
		},

		handleReset() {
			return this.forms('reset');
		},

		addFooter() {
			const maps = [ ...document.querySelectorAll('#view .cbi-map') ].map((map) => dom.findClassInstance(map));
			const readonly = maps.length ? maps.every((map) => map.readonly) : !L.hasViewPermission();
			const button = (method, kind, title) => this[method] ? E('button', {
				class: `cbi-button cbi-button-${kind}`,
				click: modules.ui.createHandlerFn(this, method, '0'),
				disabled: readonly || null
			}, [ title ]) : '';
			if (!this.handleSaveApply && !this.handleSave && !this.handleReset)
				return E([]);
			return E('div', { class: 'cbi-page-actions' }, [
				button('handleSaveApply', 'apply', _('Save & Apply')), ' ',
				button('handleSave', 'save', _('Save')), ' ', button('handleReset', 'reset', _('Reset'))
			]);
		}
	});

	Object.assign(modules, { baseclass: Class, dom, poll, request, view: View, session: Class.singleton({ getID: () => environment.sessionid }) });

	// The directives at the head of a module.
	function requirements(source) {
		const found = [];
		const directive = /\s*(?:\/\/[^\n]*\n|\/\*[\s\S]*?\*\/|'use strict';|'require[ \t]+(\S+?)(?:[ \t]+as[ \t]+([A-Za-z_]\S*?))?';)/y;
		for (let one; (one = directive.exec(source)); )
			if (one[1])
				found.push([ one[1], one[2] ?? one[1].replace(/\W/g, '_') ]);
		return found;
	}

	class LuCI {
		constructor(given) {
			Object.assign(environment, given);
			window.L = this;
			const shown = new Promise((resolve) => document.addEventListener('DOMContentLoaded', resolve));
			this.ready = Promise.all([ shown, this.require('ui'), this.require('form') ]).then(() => {
				poll.start();
				this.loaded = true;
			});
			this.env = environment;
			Object.assign(this, { Class, Poll: poll, Request: request, dom, view: View });
		}

		require(name) {
			return Promise.resolve(modules[name] ??= this.load(name));
		}

		async load(name) {
			const url = `${environment.resource}/${name.replaceAll('.', '/')}.js`;
			const source = (await request.get(url)).text();
			const needs = requirements(source);
			const given = await Promise.all(needs.map(([ module ]) => this.require(module)));
			const Made = new Function('window', 'document', 'L', ...needs.map(([ , as ]) => as), `${source}\n//# sourceURL=${url}`)(window, document, this, ...given);
			if (!Class.isSubclass(Made))
				throw new TypeError(`"${name}" factory yields invalid constructor`);
			return modules[name] = new Made();
		}

		raise(kind, text, ...values) {
			const error = kind instanceof Error ? kind : new Error(String(text ?? 'Unspecified error').format(...values));
			if (!(kind instanceof Error))
				error.name = kind;
			throw error;
		}

		error(kind, text, ...values) {
			try {
				this.raise(kind, text, ...values);
			} catch (error) {
				console.error(error);
				modules.ui.addNotification?.(error.name, E('pre', [ error.message ]), 'danger');
				throw error;
			}
		}

		bind(call, self, ...words) {
			return call.bind(self, ...words);
		}

		isObject(value) {
			return value != null && typeof value == 'object';
		}

		isArguments(value) {
			return Object.prototype.toString.call(value) == '[object Arguments]';
		}

		toArray(value) {
			if (value == null)
				return [];
			if (typeof value == 'object')
				return Array.isArray(value) ? value : [ value ];
			return String(value).trim().split(/\s+/).filter(Boolean);
		}

		resolveDefault(value, otherwise) {
			return Promise.resolve(value).catch(() => otherwise);
		}

		sortedKeys(object) {
			return Object.keys(object ?? {}).sort(this.naturalCompare);
		}

		hasSystemFeature(name) {
			return name == 'firewall4' || name == 'firewall';
		}

		hasViewPermission() {
			return environment.nodespec?.satisfied ? !environment.nodespec.readonly : null;
		}

		url(...parts) {
			return [ environment.scriptname, ...parts ].join('/');
		}

		resource(...parts) {
			return [ environment.resource, ...parts ].join('/');
		}

		naturalCompare = new Intl.Collator(undefined, { numeric: true }).compare;
	}

	window.E = dom.create;
	window.LuCI = LuCI;
})();
