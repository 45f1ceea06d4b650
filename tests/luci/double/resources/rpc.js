// Double of LuCI's rpc.js.
'use strict';
'require baseclass';
'require request';

let id = 1;

return baseclass.extend({
	declare({ object, method, params = [], expect, filter, reject }) {
		return async (...words) => {
			const named = Object.fromEntries(params.map((name, at) => [ name, words[at] ]));
			const answer = await request.post(`${L.env.ubuspath}${object}.${method}`, {
				jsonrpc: '2.0', id: id++, method: 'call', params: [ L.env.sessionid, object, method, named ]
			});
			if (!answer.ok)
				L.raise('RPCError', 'RPC call to %s/%s failed with HTTP error %d', object, method, answer.status);
			const { result, error } = answer.json();
			if (error)
				L.raise('RPCError', 'RPC call to %s/%s failed with error %d: %s', object, method, error.code, error.message);
			if (reject && result[0] !== 0)
				L.raise('RPCError', 'RPC call to %s/%s failed with ubus code %d', object, method, result[0]);
			let said = result.length > 1 ? result[1] : result[0];
			for (const [ key, otherwise ] of Object.entries(expect ?? {})) {
				said = key == '' ? said : said?.[key];
				const kind = (value) => Object.prototype.toString.call(value);
				if (said == null || kind(said) != kind(otherwise))
					said = otherwise;
				break;
			}
			return typeof filter == 'function' ? filter.call(this, said, named, ...words.slice(params.length)) : said;
		};
	},

	list: () => Promise.resolve({}),
	getSessionID: () => L.env.sessionid
});
