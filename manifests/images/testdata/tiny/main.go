// Command tiny stands in for the product's programs in tests: it is built in no
// time, and its build information names a module other than its own.
package main

import "github.com/google/go-containerregistry/pkg/v1/types"

func main() { println(types.OCIImageIndex) }
