// Double of LuCI's fs.js: our pages touch no file.
'use strict';
'require baseclass';

return baseclass.extend({});
