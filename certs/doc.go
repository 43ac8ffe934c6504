// Package certs keeps the certificates of the admission webhook: it issues a CA
// and a serving certificate, stores them in one Secret, renews them, serves
// them from memory, and publishes the CA as the caBundle of the webhook
// configurations. An [Authority] does all this; [Files] serves the files that
// cert-manager keeps instead.
//
// # Replicas without a leader
//
// Every replica of the webhook runs an Authority over the same Secret. Whoever
// comes first makes it; all writes carry the resourceVersion that was read, so
// that of two replicas with the same idea one is refused and reads again.
// Watches only say that something changed: a decision is made on what was read
// from the API server just then, first the configurations, then the Secret. A
// bundle is published for just the version of the configuration that was read,
// so a replica that was held up cannot overwrite a newer bundle with an older.
//
// # Rotation
//
// Certificates are renewed at two thirds of their life. A renewed serving
// certificate comes from the same CA and changes nothing for anyone. A new CA
// goes through three stages, each of them a state of the Secret, so that any
// replica may take the next step, and a replica that restarts goes on from it:
//
//  1. The new CA is stored beside the one in use, and both are published.
//  2. When the Secret and every webhook configuration have been seen to carry
//     both for Config.Settle without a break, the new CA takes over and signs a
//     serving certificate. API servers read configurations through a watch, so
//     they learn of a changed one a little later than we do.
//  3. The CA that signed before stays in the bundle until it expires.
//
// Besides, each replica looks after itself. It changes to a serving certificate
// of another CA only when it has itself seen that CA published for Settle; it
// puts the CA of the certificate it serves back into a Secret that lost it; and
// it takes a certificate out of a caBundle only when it has seen for Settle
// that the Secret does not name it. So whatever happens to the Secret, replicas
// that run keep serving what API servers trust.
//
// # Rights
//
// An Authority needs exactly these, and no list of anything:
//
//	apiGroup                      resource                       verbs               resourceNames
//	""                            secrets (in Config.Namespace)  create              (create cannot be limited to a name)
//	""                            secrets (in Config.Namespace)  get, watch, update  Config.Secret
//	admissionregistration.k8s.io  mutatingwebhookconfigurations  get, watch, patch   Config.WebhookConfigurations
//
// Its only write to a webhook configuration is a server-side apply of
// webhooks[].clientConfig.caBundle by the field owner [FieldOwner]. It never
// makes a configuration or an entry of one.
//
// An entry whose caBundle somebody else owns cannot be taken out by server-side
// apply: the API server keeps the owned field, and then refuses an entry that
// holds nothing but this. Delete the configuration and apply it anew, or take
// the entry out by an update; either way the CA is published again at once.
package certs
