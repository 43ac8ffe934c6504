package cli

// For tests of what no test can make happen by a file's name alone.
var (
	Printable = printable
	ScanBody  = scanBody
)
