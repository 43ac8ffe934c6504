// Asks a clamd for its version and scans files with it, by way of a package of
// npm: clamdjs, clamav.js or clamscan.
//
// usage: node scan_npm.js PACKAGE HOST PORT FILE...
//
// Prints one line for each file as clamscan does: "PATH: OK", "PATH: NAME FOUND"
// or "PATH: TEXT ERROR".
'use strict';

const fs = require('node:fs');
const { promisify } = require('node:util');

const timeout = 60000; // ms

// Each package as { ping(), version(), scan(path) }; scan gives "OK", "NAME
// FOUND" or throws.
const packages = {
  clamdjs(host, port) {
    const clamd = require('clamdjs');
    const scanner = clamd.createScanner(host, port);
    return {
      ping: () => clamd.ping(host, port, timeout),
      version: () => clamd.version(host, port, timeout),
      async scan(path) {
        const reply = await scanner.scanFile(path, timeout);
        if (clamd.isCleanReply(reply)) {
          return 'OK';
        }
        const found = /^stream: (.+ FOUND)\0$/.exec(reply);
        if (!found) {
          throw new Error(reply.replace('\0', ''));
        }
        return found[1];
      },
    };
  },

  'clamav.js'(host, port) {
    const clamav = require('clamav.js');
    const scanner = clamav.createScanner(port, host);
    return {
      ping: () => promisify(clamav.ping)(port, host, timeout).then(() => true),
      version: () => promisify(clamav.version)(port, host, timeout),
      scan: (path) => new Promise((resolve, reject) => {
        scanner.scan(path, (error, _, name) => {
          if (error) {
            reject(error);
          } else {
            resolve(name ? `${name} FOUND` : 'OK');
          }
        });
      }),
    };
  },

  clamscan(host, port) {
    const NodeClam = require('clamscan');
    const init = new NodeClam().init({
      preference: 'clamdscan',
      clamscan: { active: false },
      clamdscan: { host, port, timeout, socket: false, localFallback: false },
    });
    return {
      ping: async () => Boolean(await (await init).ping()),
      version: async () => (await init).getVersion(),
      async scan(path) {
        const { isInfected, viruses, resultString } = await (await init).scanStream(fs.createReadStream(path));
        if (isInfected === false) {
          return 'OK';
        }
        if (isInfected !== true) {
          throw new Error(`no verdict: ${resultString}`);
        }
        return `${viruses[0]} FOUND`;
      },
    };
  },
};

async function main([name, host, port, ...paths]) {
  const client = packages[name](host, Number(port));
  for (const what of ['ping', 'version']) {
    console.error(what.toUpperCase(), await client[what]().catch((error) => `${error.message} ERROR`));
  }
  for (const path of paths) {
    const verdict = await client.scan(path).catch((error) => `${error.message.replace(/\s+/g, ' ')} ERROR`);
    console.log(`${path}: ${verdict}`);
  }
}

main(process.argv.slice(2)).then(() => process.exit(0));
