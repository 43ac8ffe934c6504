module clamav-sidecar

go 1.26.0

require (
	github.com/dutchcoders/go-clamd v0.0.0-20170520113014-b970184f4d9e // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	github.com/spf13/pflag v1.1.0 // indirect
)
