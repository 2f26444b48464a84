#!/usr/bin/env node
// CommonJS (see package.json beside this file): Node's loader of ES modules alone costs more than all of --version.
require('../dist/start.cjs')
