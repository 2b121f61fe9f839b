// The package is ESM only; require() of it works in every Node it supports.
const netvc = require('netvc')

import('./echo.mjs').then(({ echo, optionsFromArgv }) => echo(netvc, optionsFromArgv()))
