// What proves statements about offload for all inputs: a module of its own, for the Go
// SSA form that it needs.
module tunproof/fuzz/prove

go 1.26.0

require (
	golang.org/x/tools v0.52.0
	tunproof v0.0.0
)

require (
	golang.org/x/mod v0.42.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace tunproof => ../..
