// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The plugin of rpcd: `ubus call anklet status`, `users` and `sessions`, for each instance of the
// service that has the option status. Lists come page by page.

'use strict';

const anklet = require('anklet');
const ubus = require('ubus').connect();

// Elements of a page: a message of ubus has 1 MiB at most, and a session less than 3 KiB.
const PAGE = 100;
const PAGE_MAX = 300;

// An instance that is not asked, or does not answer.
function silent(place) {
	return { error: place ? 'it does not answer' : 'it runs without the option status' };
}

// The counts of an instance: its lists begin behind them.
function counts(place) {
	let stop = () => false;
	return (place && anklet.read(place, stop, stop)) || silent(place);
}

// A page of one of the two lists of an instance.
function page(request, name) {
	let instance = request.args.instance;
	let found = anklet.instances(ubus);
	if (!(instance in found))
		return { error: 'there is no such instance' };
	let place = found[instance];
	let offset = max(request.args.offset ?? 0, 0);
	let limit = min(max(request.args.limit ?? PAGE, 1), PAGE_MAX);
	let at = 0, more = false, elements = [];
	let take = (element) => {
		if (at++ < offset)
			return true;
		more = length(elements) == limit;
		if (!more)
			push(elements, element);
		return !more;
	};
	let skip = () => true;
	let stop = () => false;
	let is_users = name == 'users';
	if (!place || !anklet.read(place, is_users ? take : skip, is_users ? stop : take))
		return silent(place);
	return { [name]: elements, offset, more };
}

const PAGED = { instance: 'instance', offset: 0, limit: PAGE };

return {
	anklet: {
		status: {
			args: { instance: 'instance' },
			call: (request) => {
				let only = request.args?.instance, said = {};
				for (let name, place in anklet.instances(ubus))
					if (!only || only == name)
						said[name] = counts(place);
				return said;
			}
		},
		users: {
			args: PAGED,
			call: (request) => page(request, 'users')
		},
		sessions: {
			args: PAGED,
			call: (request) => page(request, 'sessions')
		}
	}
};
