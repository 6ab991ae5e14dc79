package mutants

import (
	"strings"
	"testing"
)

// TestPlanted checks that every bug can be planted, into text that still is Go, and
// that none reaches what must stay.
func TestPlanted(t *testing.T) {
	names := map[string]bool{}
	for _, b := range Bugs() {
		if names[b.Name] {
			t.Errorf("two bugs are named %s", b.Name)
		}
		names[b.Name] = true
		m, err := b.Plant("../..")
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.HasSuffix(b.File, ".go") {
			if _, err := writing(b.File, m.Text); err != nil {
				t.Errorf("%s: %v", b.Name, err)
			}
		}
	}
	if len(names) < 60 {
		t.Errorf("%d bugs", len(names))
	}
}
