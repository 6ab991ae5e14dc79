// Package fuzz joins offload, its model and the corpus: its tests are the
// properties, as rapid checks and as native fuzz targets. The bodies are in
// fuzz/target, what generates input in fuzz/gen.
package fuzz
