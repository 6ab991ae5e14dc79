// What gathers the evidence and draws it: a module of its own, for the JSON Schema validator
// that it needs.
module tunproof/fuzz/evidence

go 1.26

require (
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	tunproof v0.0.0
)

require (
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.28.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)

replace tunproof => ../..
