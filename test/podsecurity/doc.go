// Package podsecurity checks with Kubernetes' own code that the injection takes
// no pod out of a Pod Security Standard: one that is "restricted" or "baseline"
// before is so afterwards. It is a module of its own so that the product does
// not depend on that code.
//
// https://kubernetes.io/docs/concepts/security/pod-security-standards/
package podsecurity
