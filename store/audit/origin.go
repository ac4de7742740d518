package audit

import (
	"fmt"
	"strconv"
	"strings"
)

// System stands in the tenant's place in the origin of the cluster's own log.
const System = "system"

// maxName bounds cluster and tenant in an origin, so that the longest origin
// fits the 255 bytes that C2SP tlog-cosignature allows.
const maxName = 64

// Origin names a log: <cluster>/<tenant>/e<epoch>. A log whose history cannot be
// continued (a lost quorum, a restore) goes on under the next epoch.
func Origin(cluster, tenant string, epoch int64) (string, error) {
	if !name(cluster) || !name(tenant) {
		return "", fmt.Errorf("%w: cluster %q and tenant %q must be 1 to %d letters, digits, '-', '_' or '.', the first a letter or digit", ErrOrigin, cluster, tenant, maxName)
	}
	if epoch < 1 || epoch > maxInteger {
		return "", fmt.Errorf("%w: epochs count from 1, this is %d", ErrOrigin, epoch)
	}
	return fmt.Sprintf("%s/%s/e%d", cluster, tenant, epoch), nil
}

// ParseOrigin is the inverse of Origin.
func ParseOrigin(origin string) (cluster, tenant string, epoch int64, err error) {
	parts := strings.SplitN(origin, "/", 4)
	if len(parts) == 3 && strings.HasPrefix(parts[2], "e") {
		if n, err := strconv.ParseInt(parts[2][1:], 10, 64); err == nil {
			// Made again, so that no origin has two spellings.
			if again, err := Origin(parts[0], parts[1], n); err == nil && again == origin {
				return parts[0], parts[1], n, nil
			}
		}
	}
	return "", "", 0, fmt.Errorf("%w: %.300q is not <cluster>/<tenant>/e<epoch>", ErrOrigin, origin)
}

func name(s string) bool {
	if s == "" || len(s) > maxName || !alphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
