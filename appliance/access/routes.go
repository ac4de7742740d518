package access

import (
	"slices"

	"gatehouse/store/audit"
	"gatehouse/store/state"
)

// Role of a client.
type Role string

const (
	PlatformAdmin Role = state.PlatformAdmin // the cluster: tenants, seal
	TenantAdmin   Role = "tenant_admin"      // a tenant: its clients
	Operator      Role = "operator"          // a branch: verifications
	Reviewer      Role = "reviewer"          // looks at evidence
	Compliance    Role = "compliance"        // sees all, erases
	Auditor       Role = "auditor"           // the log
	Monitor       Role = "monitor"           // health and metrics
)

// Roles lists all.
func Roles() []Role {
	return []Role{PlatformAdmin, TenantAdmin, Operator, Reviewer, Compliance, Auditor, Monitor}
}

// Route is one operation of the API: who may call it, and what it leaves in
// the audit log when it was done.
type Route struct {
	Operation string // the description's operationId
	Method    string
	Path      string
	Roles     []Role       // any of them; empty: everybody, without a credential
	Audit     audit.Action // empty: the operation changes nothing and shows no person
	Sealed    bool         // also answered by a sealed node
}

// Routes is the table.
func Routes() []Route {
	everyone := Roles()
	sessions := []Role{Operator, Reviewer, Compliance}
	work := []Role{Operator}
	looks := []Role{Reviewer, Compliance}
	keeps := []Role{TenantAdmin, Compliance}
	log := []Role{Auditor, Compliance, PlatformAdmin}
	return []Route{
		{Operation: "livez", Method: "GET", Path: "/livez", Sealed: true},
		{"readyz", "GET", "/readyz", []Role{Monitor, PlatformAdmin}, "", false},
		{"metrics", "GET", "/metrics", []Role{Monitor, PlatformAdmin}, "", false},
		{"description", "GET", "/v1/openapi.yaml", everyone, "", false},
		{"documentation", "GET", "/v1/docs", everyone, "", false},
		{"status", "GET", "/v1/status", []Role{Monitor, PlatformAdmin, TenantAdmin, Auditor}, "", false},
		{Operation: "setup", Method: "POST", Path: "/v1/setup", Audit: audit.SetupComplete},
		{"sealStatus", "GET", "/v1/seal", []Role{PlatformAdmin, Monitor}, "", true},
		{"seal", "POST", "/v1/seal/close", []Role{PlatformAdmin}, audit.SealSeal, false},
		{"unseal", "POST", "/v1/seal/open", []Role{PlatformAdmin}, audit.SealUnseal, true},
		{"addSlot", "POST", "/v1/seal/slots", []Role{PlatformAdmin}, audit.SealSlotAdd, false},
		{"removeSlot", "DELETE", "/v1/seal/slots/{slot}", []Role{PlatformAdmin}, audit.SealSlotRemove, false},
		{"clusterStatus", "GET", "/v1/cluster", []Role{PlatformAdmin, Monitor}, "", false},
		{"inviteNode", "POST", "/v1/cluster/invitations", []Role{PlatformAdmin}, audit.NodeMemberInvite, false},
		{"transferLeadership", "POST", "/v1/cluster/transfer", []Role{PlatformAdmin}, audit.NodeTransfer, false},
		{"rotateAuthority", "POST", "/v1/cluster/authority/rotate", []Role{PlatformAdmin}, audit.KeyRotate, false},
		{"finaliseVersion", "POST", "/v1/cluster/finalise", []Role{PlatformAdmin}, audit.ClusterFinalise, false},
		{"changeMember", "PUT", "/v1/cluster/members/{member}", []Role{PlatformAdmin}, audit.NodeMemberChange, false},
		{"removeMember", "DELETE", "/v1/cluster/members/{member}", []Role{PlatformAdmin}, audit.NodeMemberRemove, false},
		{"listTenants", "GET", "/v1/tenants", []Role{PlatformAdmin}, "", false},
		{"createTenant", "POST", "/v1/tenants", []Role{PlatformAdmin}, audit.TenantCreate, false},
		{"listClients", "GET", "/v1/clients", []Role{TenantAdmin}, "", false},
		{"createClient", "POST", "/v1/clients", []Role{TenantAdmin}, audit.ClientCreate, false},
		{"revokeClient", "DELETE", "/v1/clients/{client}", []Role{TenantAdmin}, audit.ClientRevoke, false},
		{"listSessions", "GET", "/v1/sessions", sessions, "", false},
		{"createSession", "POST", "/v1/sessions", work, audit.SessionCreate, false},
		{"getSession", "GET", "/v1/sessions/{session}", sessions, "", false},
		{"putEvidence", "PUT", "/v1/sessions/{session}/evidence/{slot}", work, audit.SessionEvidenceAdd, false},
		{"getEvidence", "GET", "/v1/sessions/{session}/evidence/{slot}", looks, audit.AccessEvidence, false},
		{"submitSession", "POST", "/v1/sessions/{session}/submit", work, audit.SessionSubmit, false},
		{"sessionEvents", "GET", "/v1/sessions/{session}/events", sessions, "", false},
		{"getResult", "GET", "/v1/sessions/{session}/result", sessions, audit.AccessResult, false},
		{"verify", "POST", "/v1/verifications", work, audit.SessionSubmit, false},
		{"compareFaces", "POST", "/v1/faces/compare", work, audit.FaceCompare, false},
		{"searchFaces", "POST", "/v1/faces/search", looks, audit.FaceSearch, false},
		{"readDocument", "POST", "/v1/documents/read", work, audit.DocumentRead, false},
		{"getSubject", "GET", "/v1/subjects/{subject}", []Role{Compliance, Reviewer}, audit.AccessSubject, false},
		{"eraseSubject", "DELETE", "/v1/subjects/{subject}", []Role{Compliance}, audit.SubjectEraseRestrict, false},
		{"listBlocked", "GET", "/v1/blocklist", looks, "", false},
		{"addBlocked", "POST", "/v1/blocklist", []Role{Compliance}, audit.BlocklistAdd, false},
		{"getBlocked", "GET", "/v1/blocklist/{entry}", looks, audit.AccessSubject, false},
		{"removeBlocked", "DELETE", "/v1/blocklist/{entry}", []Role{Compliance}, audit.BlocklistRemove, false},
		{"galleryStats", "GET", "/v1/gallery", append([]Role{Monitor}, keeps...), "", false},
		{"rebuildGallery", "POST", "/v1/gallery/rebuild", keeps, audit.GalleryRebuild, false},
		{"verifyGallery", "POST", "/v1/gallery/verify", append([]Role{Auditor}, keeps...), audit.GalleryVerify, false},
		{"checkpoint", "GET", "/v1/audit/checkpoint", log, "", false},
		{"auditKey", "GET", "/v1/audit/key", log, "", false},
		{"auditEvents", "GET", "/v1/audit/events", log, audit.AccessAudit, false},
		{"auditProof", "GET", "/v1/audit/proof/{seq}", log, audit.AccessAudit, false},
		{"auditConsistency", "GET", "/v1/audit/consistency", log, "", false},
		{"auditTrust", "GET", "/v1/audit/trust", log, "", false},
		{"searchAudit", "POST", "/v1/audit/search", log, audit.AccessAudit, false},
		{"exportAudit", "POST", "/v1/audit/exports", log, audit.AuditExport, false},
		{"cosignAudit", "POST", "/v1/audit/cosignatures", log, audit.AuditCosign, false},
		{"rotateAuditKey", "POST", "/v1/audit/keys/rotate", []Role{PlatformAdmin}, audit.LogKeyRotate, false},
		{"retireAuditKey", "POST", "/v1/audit/keys/retire", []Role{PlatformAdmin}, audit.KeyDestroy, false},
	}
}

// How a caller was known.
const (
	ByKey         = "key"
	ByCertificate = "certificate"
	ByCode        = "code"
	ByNothing     = "none"
)

// Caller is who calls, with what the request says of itself.
type Caller struct {
	Client  string // empty: nobody
	Tenant  string
	Roles   []Role
	Authn   string // how it was known; empty: the node itself
	Request string // id
	Route   string // method and path of the table
	Purpose string
}

// May says whether the caller may use the route.
func (c Caller) May(r Route) bool {
	return len(r.Roles) == 0 || slices.ContainsFunc(c.Roles, func(have Role) bool { return slices.Contains(r.Roles, have) })
}

// Has says whether the caller has a role.
func (c Caller) Has(r Role) bool { return slices.Contains(c.Roles, r) }
