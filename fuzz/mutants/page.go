package mutants

// pageText is docs/mutation.md.
const pageText = `# What the harness would notice

Written by ` + "`make docs`" + ` from docs/mutation/*.jsonl, which the commands named below write. A mutant is one change of one file, built in
place of it by ` + "`go build -overlay`" + `; the tree is never touched, nor is the function that writes to the kernel, before which the guard stands
(K6). Every result names the tree that it is of; ` + "`tunproof verify`" + ` shows it, and says when it is of another.

## Planted bugs
{{with .planted}}
` + "`make mutants`" + `, tree {{.Tree}}, {{.Env.CPU}}, {{.Env.NCPU}} cores, Linux {{.Env.Kernel}}, {{.Env.Go}}: **{{.Noticed}} of {{len .Lines}} noticed**, {{minutes .Seconds}} minutes. Of offload
each was run against P1 to P7, P10 and P11 (400 generated scenarios each, and the small exhaustive sets), the corpus and the captures; what
those left, against offload's own tests (P8, P9, work) and the kernel (K1 to K3); of the device against its tests, which are on a real TUN. {{with .Count "corpus only"}}{{.}} were noticed by a case of the
corpus alone, which does not count.{{else}}None was noticed by a case of the corpus alone, which would not count.{{end}}

| method | noticed | and no other did |
|---|---|---|
{{range .ByMethod}}| {{.Method}} | {{.Noticed}} | {{.Alone}} |
{{end}}
P1 to P7 and P11 are rapid properties, P8 sums, P9 allocations, P10 exhaustive, work what a batch takes (C7), unit offload's other tests. A
"!" is a test that hangs. The test is that of the method named first; the seconds are those from the start of its program to its first
failure, of whichever test.

| bug | from | noticed by | test | after s |
|---|---|---|---|---|
{{range .Lines}}| {{.ID}} | {{cell .About}} | {{if .By}}{{.By}}{{else}}**{{.Status}}**{{end}} | {{cell .Test}} | {{if .By}}{{printf "%.1f" .Seconds}}{{end}} |
{{end}}{{end}}
## Mutations of offload
{{with .offload}}
` + "`make mutation`" + `, tree {{.Tree}}, {{.Env.CPU}}, {{.Env.NCPU}} cores, {{.Env.Go}}, {{minutes .Seconds}} minutes: {{len .Lines}} mutations, of which {{.Count "does not compile"}} do not compile and {{.Count "same machine code"}} compile to the
same machine code. Of the {{.Judged}} others **{{.Noticed}} are noticed ({{percent .Noticed .Judged}} %)**, {{.Count "timed out"}} of them only because a test program took longer than 10 s;
{{.Count "equivalent"}} are listed below as equivalent, {{.Count "survived"}} survive. Of those that are not equivalent {{percent .Noticed (sub .Judged (.Count "equivalent"))}} % are noticed.

What is not mutated: checksum_arm64.go, which this machine does not build, assembly (planted bugs are in it), VnetHdrLen, on which the
guard depends. checksum_noasm.go and checksum_nostamp.go are built with the tag purego, work_invariants.go with invariants.

| file | mutations | noticed | of them timed out | equivalent | do not compile | survive |
|---|---|---|---|---|---|---|
{{range .By "file"}}| {{.Name}} | {{.Mutants}} | {{.Noticed}} | {{.TimedOut}} | {{.Equal}} | {{.NotViable}} | {{.Escaped}} |
{{end}}
| operator | mutations | noticed | of them timed out | equivalent | do not compile | survive |
|---|---|---|---|---|---|---|
{{range .By "operator"}}| {{.Name}} | {{.Mutants}} | {{.Noticed}} | {{.TimedOut}} | {{.Equal}} | {{.NotViable}} | {{.Escaped}} |
{{end}}
What each method notices; unit, P9 and work, and of P8 the part that is in offload, are asked only about what the others leave.

| method | noticed | and no other did |
|---|---|---|
{{range .ByMethod}}| {{.Method}} | {{.Noticed}} | {{.Alone}} |
{{end}}
### Timed out

{{range .With "timed out"}}- {{.ID}} (line {{.Line}}): {{code .About}}, {{.By}}
{{else}}None.
{{end}}
### Survived

{{range .With "survived"}}- {{.ID}} (line {{.Line}}): {{code .About}} in {{code .Source}}
{{else}}None.
{{end}}{{end}}
### Equivalent

Each is listed in fuzz/mutants/equivalent.go with its ID and the line as it is; another line is another mutation. Besides the argument
each is run against all small inputs that there are (` + "`make mutation-deep`" + `: P10 as ` + "`make test`" + ` has it, and 5,000 generated scenarios of
each property).{{with .deep}} Of tree {{.Tree}}: {{len .Lines}} run, {{.Noticed}} told from the original.{{end}}

{{range .Arguments}}**{{.Why}}**

{{range .List}}- {{.ID}}: {{code .Source}}
{{end}}
{{end}}
## Mutations of the model
{{with .model}}
` + "`make mutation-model`" + `, tree {{.Tree}}, Linux {{.Env.Kernel}}, {{minutes .Seconds}} minutes. The kernel judges the model alone (K1 to K3 on generated scenarios and on the
corpus, and every bit of a packet flipped; production only explains known divergences). {{len .Lines}} mutations, {{.Count "does not compile"}} do not compile, {{.Count "same machine code"}} compile to
the same machine code. Of the {{.Judged}} others the kernel notices **{{.Has "kernel"}}**. What a kernel cannot know, Reasons, classes of refusal, policy, shows in
the stated outcomes of the corpus, **{{.Has "corpus"}}**, or only as a difference from production or in the model's own tests, {{sub (sub .Noticed (.Has "kernel")) (.Has "corpus")}}. {{.Count "equivalent"}} are
listed as equivalent. {{.Count "timed out"}} of all are noticed only because a program hangs;
{{.Count "survived"}} survive.

### Not noticed by the kernel

{{range .Lines}}{{if .Unseen}}- {{.ID}} (line {{.Line}}): {{code .About}}, {{.By}}
{{end}}{{end}}
### Survived

{{range .With "survived"}}- {{.ID}} (line {{.Line}}): {{code .About}} in {{code .Source}}
{{else}}None.
{{end}}{{end}}
## Every input of a small scope (P10)

` + "`make exhaustive-long`" + `. The alphabet is in fuzz/law/exhaustive/alphabet.go (` + "`tunproof exhaustive -letters 103 -list`" + ` prints it): packets that follow each other, and
what ends, hides or delays a superpacket; edges of values; a packet for each field that differs. Every batch is compared with the model:
superpackets, members, Reasons, bytes; every superpacket is cut by both and comes back, packets keep their order.

| property | what | how many | judge | seconds | result |
|---|---|---|---|---|---|
{{range .exhaustive}}| {{.Property}} | {{.Method}} | {{.Count}} {{.Unit}} | {{.Judge}} | {{printf "%.0f" .Seconds}} | {{.Result}} |
{{end}}`
