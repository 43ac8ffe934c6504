// Package clientconfig keeps the ConfigMap with the clients' clamd.conf (package
// render), which injected pods mount, in each namespace that needs it.
//
// A [Keeper] makes the ConfigMap at a namespace's first injection
// ([Keeper.Ensure], in every replica of the webhook) and from then on keeps it
// ([Keeper.SetupWithManager], in the leader alone): it is restored when it is
// changed or deleted, and brought up to date when the settings change. Only the
// fields that are rendered are its own, by server-side apply: other keys, labels
// and annotations of the same ConfigMap stay as they are.
//
// [render.Label] tells the ConfigMaps that are kept. One without it is its
// namespace's own and is never touched, whatever its name. A team takes the label off to
// make the ConfigMap its own, and only then changes or deletes it. (One that is
// deleted with the label on is made again; one that is deleted while no replica
// leads, at the next injection in its namespace.)
//
// The cache is of one name ([ByObject]), so another one wants a restart.
// ConfigMaps of the old name are then left as they are, because pods that run
// have them mounted: nobody updates or deletes them from then on. Keeping turned off
// leaves what there is in the same way.
//
// Rights that it needs, all on configmaps of the core group:
//
//	get            every namespace, any name: Ensure and Missing look at what the cache does not hold
//	list, watch    every namespace: the cache
//	create, patch  every namespace: server-side apply
//
// All but get may be limited to the name in the settings, with resourceNames.
//
// It reads no namespaces: that one is terminating or gone shows in the API
// server's answer to the apply.
package clientconfig
