#!/usr/bin/env node
// The binary `wafer`.

import { loadEngine } from './engine.ts';
import { main } from './process.ts';

await main(loadEngine);
