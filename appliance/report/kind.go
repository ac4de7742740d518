package report

import (
	"strings"

	"gatehouse/store/audit"
)

// kind of an event, as the rules for electronic verification tell them apart:
// eight of them, then sign-ins, settings and keys.
type kind int

const (
	initiated kind = iota
	document
	face
	screening
	decision
	review
	access
	deletion
	signin
	settings
	secrets
	other
	kinds // how many
)

func (k kind) String() string {
	return [kinds]string{"Verification", "Document", "Face", "Screening", "Decision", "Review", "Access", "Deletion",
		"Sign-in", "Settings", "Keys", "Other"}[k]
}

// about says what belongs to the kind.
func (k kind) about() string {
	return [kinds]string{
		"begun, consent, evidence added, submitted, ended without a decision",
		"documents read and judged",
		"faces compared, searched, enrolled; liveness; blocklist",
		"persons compared with screening lists",
		"decisions of verifications",
		"cases before a person",
		"evidence, personal data or the log itself was read or given out",
		"persons erased, data deleted, legal holds",
		"sign-ins, denials, locked credentials",
		"configuration, rules, lists, models, tenants, users, clients, cluster and program",
		"keys, certificates, the seal",
		"running of the nodes, backups, checkpoints, refused commands",
	}[k]
}

// kindOf an action: by the action where its family is divided, else by family.
func kindOf(a audit.Action) kind {
	switch a {
	case audit.SubjectCreate:
		return initiated
	case audit.SubjectExport:
		return access
	case audit.TemplateDelete:
		return deletion
	case audit.SetupDeny:
		return signin
	case audit.LogKeyRotate:
		return secrets
	case audit.LogEpochStart, audit.BackupRestore:
		return settings
	}
	for _, f := range [...]struct {
		prefix string
		kind   kind
	}{
		{"session.", initiated}, {"consent.", initiated},
		{"document.", document},
		{"face.", face}, {"liveness.", face}, {"duplicate.", face}, {"template.", face}, {"blocklist.", face},
		{"screening.", screening}, {"decision.", decision}, {"review.", review}, {"access.", access},
		{"subject.erase.", deletion}, {"retention.", deletion},
		{"auth.", signin}, {"authz.", signin},
		{"config.", settings}, {"rules.", settings}, {"list.", settings}, {"model.", settings}, {"tenant.", settings},
		{"user.", settings}, {"client.", settings}, {"webhook.", settings}, {"setup.", settings}, {"cluster.", settings},
		{"node.member.", settings}, {"upgrade.", settings},
		{"key.", secrets}, {"seal.", secrets},
	} {
		if strings.HasPrefix(string(a), f.prefix) {
			return f.kind
		}
	}
	return other
}

// personal actions show evidence or data of a person to somebody.
func personal(a audit.Action) bool {
	return a == audit.FaceSearch || kindOf(a) == access && a != audit.AccessAudit
}
