// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tunproof/fuzz/capture/trial"
	"tunproof/fuzz/engine/campaign"
	"tunproof/fuzz/kernel/matrix"
	"tunproof/fuzz/record"
)

// TestBlocks checks that the tables in the documents are those that the commands write.
func TestBlocks(t *testing.T) {
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	docs := filepath.Join(root, "docs")
	type written struct {
		file, name, records string
		table               func(io.Writer, []record.Result) error
	}
	blocks := []written{
		{"fuzzing.md", "detection", "detection.jsonl", campaign.DetectTable},
		{"fuzzing.md", "rates", "rates.jsonl", campaign.RatesTable},
		{"judges.md", "trial", "trial.jsonl", trial.Table},
		{"kernel.md", "kernels", "matrix.jsonl", matrix.Table},
		{"kernel.md", "features", "matrix.jsonl", matrix.FeaturesTable},
		{"kernel.md", "kernels-long", "kernels.jsonl", matrix.Table},
	}
	for _, b := range blocks {
		doc, err := os.ReadFile(filepath.Join(docs, b.file))
		if err != nil {
			t.Fatal(err)
		}
		_, got, _, err := record.Block(doc, b.name)
		if err != nil {
			t.Fatalf("%s: %v", b.file, err)
		}
		var want bytes.Buffer
		if err := record.Render(&want, record.DataFile(root, b.records), "", b.name, b.table); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s: the block %s is out of date: make docs writes it", b.file, b.name)
		}
	}
}

func TestReplaceBlock(t *testing.T) {
	name := testFile(t, "x.md", "a\n<!-- b -->\nold\n<!-- /b -->\nc\n")
	if err := record.ReplaceFile(name, "b", []byte("new\n")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(name); string(got) != "a\n<!-- b -->\nnew\n<!-- /b -->\nc\n" {
		t.Errorf("%s", got)
	}
	if err := record.ReplaceFile(name, "c", nil); err == nil || !strings.Contains(err.Error(), `x.md: no lines "<!-- c -->"`) {
		t.Error(err)
	}
}
