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

Made by ` + "`tunproof rules`" + `; edit fuzz/law/rules.go. Each rule has where it comes from (kernel functions are Linux 6.12's
where no version is named), the function of package model that says it, and the cases of the corpus on either side: "+" where its
condition holds, "-" where it does not. Laws about all inputs are in properties.md.
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
	b.WriteString("\n## T: the TUN device\n\nOf package offload/tun; each with the tests that show it on a real kernel.\n\n| rule | what | from | tests |\n|---|---|---|---|\n")
	for _, r := range Device {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.ID, escape(r.Text), escape(r.Source), r.Tests)
	}
	return b.String(), nil
}

func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// few names the first cases and counts the rest.
func few(ids []string) string {
	const most = 3
	if len(ids) <= most {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], ", "), len(ids)-most)
}
