// Package render writes the clients' clamd.conf, which stands in the ConfigMap
// that injected pods mount. It makes no calls, so that whoever reads the
// configuration file needs no cluster.
package render

import (
	"fmt"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/webhook/inject"
)

// Label with the value "true" is on each ConfigMap that is kept, and on no
// other.
const Label = inject.Prefix + "client-configuration"

// Settings say what is rendered, and whether it is kept. They are taken as they
// are: package config checks them.
type Settings struct {
	// Name of the ConfigMap in each namespace.
	Name string
	// Manage false leaves it to others to provide the ConfigMap.
	Manage bool
	// Host and Port of the clamav service. Host is one name or IP address, never
	// several: clamdscan tries all addresses of a name, but no second TCPAddr
	// (seen with 1.4.6).
	Host string
	Port int
	// MaxFileSize is the limit of the clamav service in bytes, at most 2047M.
	MaxFileSize int64
	// LocalPort is where the sidecar serves clamd's protocol on localhost; 0: it
	// does not, and there is no [inject.LocalConf].
	LocalPort int
}

// streamMaxLength is what a client may send of a file. clamdscan cuts off what
// is longer and reports the rest as OK (seen with 1.4.6), so this has to be
// above the limit of the service, which then refuses the file. It is not
// derived from that limit but above every limit that a service can have, since
// clamd scans no file of 2 GiB or more: the limit of a service may be raised
// before each pod has the new file. Nothing more is sent for it, as clients stop
// when they are refused. 4 GiB is the most that clamd.conf can say.
//
// The sidecar takes the smaller of this and of its own --max-file-size, which is
// at most 2047M: what it lets through is the service's to refuse.
const streamMaxLength = "4095M"

// Files gives the contents of the ConfigMap by key: [inject.ServiceConf] and,
// unless LocalPort is 0, [inject.LocalConf].
func Files(s Settings) map[string]string {
	contents := map[string]string{
		inject.ServiceConf: file("the clamav service", s.Host, s.Port,
			"The service refuses files above "+clamd.FormatSize(s.MaxFileSize)+"."),
	}
	if s.LocalPort != 0 {
		contents[inject.LocalConf] = file("the sidecar of the same pod", "127.0.0.1", s.LocalPort,
			"The sidecar refuses files above its max-file-size.")
	}
	return contents
}

// file is one clamd.conf.
func file(server, host string, port int, limit string) string {
	return fmt.Sprintf(`# Where clients such as clamdscan find %[1]s.
#
# clamav-sidecar keeps this ConfigMap: what is changed here is changed back.
# To have a clamd.conf of your own, first take off the ConfigMap's label
# %[2]s, then change it; or name another
# ConfigMap in the annotation %[3]s.
TCPSocket %[4]d
TCPAddr %[5]s
# %[6]s
# This has to be more, for clamdscan cuts off what is longer than this, and
# calls a file OK of which it has sent a part.
StreamMaxLength %[7]s
# And without these it calls a symbolic link OK and does not look behind it.
FollowFileSymlinks yes
FollowDirectorySymlinks yes
`, server, Label, inject.Prefix+"config-map", port, host, limit, streamMaxLength)
}
