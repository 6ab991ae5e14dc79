// SPDX-License-Identifier: MIT

//go:build ignore

// Command generate writes the files that targets.Sources returns.
package main

import (
	"log"
	"os"
	"path/filepath"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/record"
)

func main() {
	root, err := record.Root(".")
	if err != nil {
		log.Fatal(err)
	}
	files, err := targets.Sources()
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
