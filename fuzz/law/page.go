// SPDX-License-Identifier: MIT

package law

import (
	"fmt"
	"strings"
	"tunproof/corpus"
)

// RulesPage returns the text of docs/rules.md: each rule and its cases.
func RulesPage() (string, error) {
	cases, err := corpus.Cases()
	if err != nil {
		return "", err
	}
	sides := map[string][]string{}
	for _, c := range cases {
		for _, r := range c.Rules {
			sides[r] = append(sides[r], c.ID)
		}
	}
	var b strings.Builder
	b.WriteString(`# Rules

For contributors and readers of test cases: every rule that offload keeps, with its source and its cases. Properties, which are laws about
all inputs, are in properties.md.

` + "`tunproof rules`" + ` writes this page from fuzz/law/rules.go. The column "from" says where a rule comes from: a function of the kernel (Linux
6.12 where no version is named), an RFC or the virtio standard, another rule, or a decision of our own ("policy"). The column "model"
names the function of package model that implements the rule. The last two columns name corpus cases on the two sides of the
rule: "+" if its condition holds in the case, "-" if it does not. A few rules give the signs another meaning, which their text states.
`)
	for _, section := range Sections {
		fmt.Fprintf(&b, "\n## %s\n\n", section.Title)
		if section.Intro != "" {
			b.WriteString(section.Intro + "\n\n")
		}
		b.WriteString("| rule | what | from | model | + | - |\n|---|---|---|---|---|---|\n")
		for _, r := range section.Rules {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.ID, escape(r.Text), escape(r.Source), r.Model, few(sides[r.ID+"+"]), few(sides[r.ID+"-"]))
		}
	}
	b.WriteString("\n## T: the TUN device\n\nThese are the rules of package offload/tun, each with the tests that check it on a real kernel.\n\n| rule | what | from | tests |\n|---|---|---|---|\n")
	for _, r := range Device {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.ID, escape(r.Text), escape(r.Source), r.Tests)
	}
	return b.String(), nil
}

// escape returns s for a cell of a Markdown table.
func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// few returns the first three IDs and the number of the others, for a cell of a table.
func few(ids []string) string {
	const most = 3
	if len(ids) <= most {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], ", "), len(ids)-most)
}
