#!/usr/bin/env bash
# Bundles the parts of three.js that the page uses into three.min.js, with npm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/three_parts.js" "$work"
cd "$work"
npm install --no-save --no-audit --no-fund three@0.187.0 esbuild@0.28.2
npx esbuild three_parts.js --bundle --minify --format=iife --global-name=THREE \
  --legal-comments=none --outfile=three.min.js
cp three.min.js "$here/three.min.js"
cp node_modules/three/LICENSE "$here/three.LICENSE"
