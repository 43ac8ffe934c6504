package inject

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"clamav-sidecar/sidecar/clamd"
)

// Each function here parses one value into its target, which keeps its old
// value if there is an error. Errors say what is wanted.

func oneOf[T ~string](target *T, text string, allowed ...T) error {
	if !slices.Contains(allowed, T(text)) {
		quoted := make([]string, len(allowed))
		for i, value := range allowed {
			quoted[i] = strconv.Quote(string(value))
		}
		return errors.New("want " + strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1])
	}
	*target = T(text)
	return nil
}

func boolean(target *bool, text string) error {
	switch text {
	case "true":
		*target = true
	case "false":
		*target = false
	default:
		return errors.New(`want "true" or "false"`)
	}
	return nil
}

// firstPort is the lowest that a process without privileges can rely on.
const firstPort = 1024

func port(target *int32, text string, mayBeOff bool) error {
	number, err := strconv.ParseUint(text, 10, 16)
	if err == nil && (number >= firstPort || number == 0 && mayBeOff) {
		*target = int32(number)
		return nil
	}
	if mayBeOff {
		return fmt.Errorf(`want a port from %d to 65535, or "0" for none`, firstPort)
	}
	return fmt.Errorf("want a port from %d to 65535", firstPort)
}

func quantity(target *resource.Quantity, text string) error {
	want := errors.New("want a quantity above 0 and below " + mostQuantity +
		", such as 100m of cpu or 64Mi of memory, without an exponent")
	if len(text) > maxQuantityLength || hasExponent(text) {
		return want
	}
	value, err := resource.ParseQuantity(text)
	if err != nil || value.Sign() <= 0 || value.Cmp(resource.MustParse(mostQuantity)) >= 0 {
		return want
	}
	*target = value
	return nil
}

// memory is a quantity of whole bytes, which 64m, for 64Mi, is not.
func memory(target *resource.Quantity, text string) error {
	value := *target
	if err := quantity(&value, text); err != nil {
		return err
	}
	if rounded := value.DeepCopy(); !rounded.RoundUp(0) {
		return errors.New("want whole bytes, such as 64Mi (m is a thousandth)")
	}
	*target = value
	return nil
}

// mostQuantity is so large that only a slip exceeds it, and still has a number
// of bytes that fits in 64 bits. maxQuantityLength is in bytes.
const (
	mostQuantity      = "1Ei"
	maxQuantityLength = 30
)

// hasExponent tells 1e9 from 1E and 1Ei. Kubernetes takes exponents of any size,
// and then the comparison of 1e1000000000 with anything takes all memory.
func hasExponent(text string) bool {
	i := strings.IndexAny(text, "eE")
	return i >= 0 && i+1 < len(text) && text[i+1] != 'i'
}

// maxFileSize is the sidecar's own bound: ClamAV's engine scans no file of 2 GiB
// or more.
const maxFileSize = 2047 << 20

func fileSize(target *int64, text string) error {
	size, err := clamd.ParseSize(text)
	if err != nil || size < 1 || size > maxFileSize {
		return errors.New("want a size from 1 to " + clamd.FormatSize(maxFileSize) + ", such as 50M (bytes, K, M or G)")
	}
	*target = size
	return nil
}

// maxScanTimeout catches slips; clamd's own limit for a file is two minutes
// unless MaxScanTime says otherwise.
const maxScanTimeout = 24 * time.Hour

func scanTimeout(target *time.Duration, text string) error {
	value, err := time.ParseDuration(text)
	if err != nil || value < time.Millisecond || value > maxScanTimeout {
		return errors.New("want a duration from 1ms to 24h with its unit, such as 30s or 2m")
	}
	*target = value
	return nil
}

func objectName(target *string, text string) error {
	if problems := validation.IsDNS1123Subdomain(text); len(problems) > 0 {
		return errors.New("want the name of a ConfigMap: " + problems[0])
	}
	*target = text
	return nil
}

func imageName(target *string, text string) error {
	if text == "" || len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return errors.New("want the name of an image, such as registry.example/clamav-sidecar:1.0")
	}
	*target = text
	return nil
}
