// Package config reads the webhook's configuration file, the --config of the
// command, and reads it again when it changes.
//
//	clamd:                    # the clamav service
//	  host: clamav.clamav-system.svc   # required; one name or IP address
//	  port: 3310
//	  maxFileSize: 100M       # its StreamMaxLength, as clamd.conf writes sizes
//	configMap:                # the clients' clamd.conf in each namespace
//	  name: clamav-configuration
//	  manage: true            # made and kept by the webhook
//	sidecar:                  # what pods get that do not say otherwise
//	  image: registry.example/clamav-sidecar:1.0   # required
//	  memory-limit: 128Mi
//
// Keys of sidecar are the annotations' names without their prefix and, with
// image-pull-policy, take the annotations' values, by the same parser (package
// inject). Two of them hang together with the rest of the file: config-map is
// given as configMap.name, and max-file-size is that of clamd unless it is set,
// and never above it. A pod that asks for more by annotation gets it and gains
// nothing: the service refuses what is above its own limit.
//
// Everything that is wrong with a file comes in one error, one line each, with
// its path. A file is taken whole or not at all.
package config
