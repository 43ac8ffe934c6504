// Package openapi checks sidecar/httpapi/openapi.yaml against the handlers that
// serve it: each documented status of each operation is brought about and its
// answer is validated, and no answer has an undocumented status. It is a module
// of its own so that the product does not depend on the validator.
package openapi
