// Package service starts what the chart's pods of the ClamAV service start: the
// real clamd, freshclam, clamdscan and signatures.sh, on the files of the
// rendered ConfigMaps and with the command lines of the rendered containers.
// Only directories, ports and the service's host name are other ones here, and
// a local HTTP server is the mirror of the signatures.
//
// The tests need the directory that HELM_BINARIES names; test/helm/binaries.sh
// makes it.
package service
