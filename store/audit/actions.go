package audit

import (
	"slices"
	"strings"
)

// Action says what happened. The list is closed: a new action is added here and
// never renamed or removed, since leaves that name it are kept for years.
type Action string

// The actions.
const (
	AccessAudit    Action = "access.audit"
	AccessCase     Action = "access.case"
	AccessEvidence Action = "access.evidence"
	AccessReport   Action = "access.report"
	AccessResult   Action = "access.result"
	AccessSubject  Action = "access.subject"
	AccessTemplate Action = "access.template"

	AuditAnchor    Action = "audit.anchor"
	AuditChallenge Action = "audit.challenge"
	AuditCosign    Action = "audit.cosign"
	AuditExport    Action = "audit.export"
	AuditVerify    Action = "audit.verify"

	AuthDeny    Action = "auth.deny"
	AuthLock    Action = "auth.lock"
	AuthSignin  Action = "auth.signin"
	AuthSignout Action = "auth.signout"

	AuthzDeny Action = "authz.deny"

	BackupCreate  Action = "backup.create"
	BackupDrill   Action = "backup.drill"
	BackupFail    Action = "backup.fail"
	BackupPrune   Action = "backup.prune"
	BackupRestore Action = "backup.restore"
	BackupVerify  Action = "backup.verify"

	BlocklistAdd    Action = "blocklist.add"
	BlocklistRemove Action = "blocklist.remove"

	ClientCreate Action = "client.create"
	ClientRevoke Action = "client.revoke"
	ClientRotate Action = "client.rotate"

	ClusterFinalise Action = "cluster.finalise"
	ClusterFound    Action = "cluster.found"
	ClusterRecover  Action = "cluster.recover"

	CommandRefused Action = "command.refused"

	ConfigActivate Action = "config.activate"
	ConfigApprove  Action = "config.approve"
	ConfigPropose  Action = "config.propose"
	ConfigReject   Action = "config.reject"
	ConfigRollback Action = "config.rollback"

	ConsentRecord   Action = "consent.record"
	ConsentWithdraw Action = "consent.withdraw"

	DecisionMake Action = "decision.make"

	DocumentProcess Action = "document.process"
	DocumentRead    Action = "document.read"

	DuplicateSearch Action = "duplicate.search"

	EvidenceHeal       Action = "evidence.heal"
	EvidenceQuarantine Action = "evidence.quarantine"

	FaceCompare Action = "face.compare"
	FaceProcess Action = "face.process"
	FaceSearch  Action = "face.search"

	GalleryRebuild Action = "gallery.rebuild"
	GalleryVerify  Action = "gallery.verify"

	KeyCertificateIssue  Action = "key.certificate.issue"
	KeyCertificateRevoke Action = "key.certificate.revoke"
	KeyCreate            Action = "key.create"
	KeyDestroy           Action = "key.destroy"
	KeyRotate            Action = "key.rotate"

	ListActivate Action = "list.activate"
	ListApprove  Action = "list.approve"
	ListImport   Action = "list.import"
	ListReject   Action = "list.reject"
	ListRollback Action = "list.rollback"
	ListStale    Action = "list.stale"

	LivenessProcess Action = "liveness.process"

	LogEpochStart  Action = "log.epoch.start"
	LogKeyRotate   Action = "log.key.rotate"
	LogSegmentSeal Action = "log.segment.seal"

	ModelActivate Action = "model.activate"
	ModelLoad     Action = "model.load"
	ModelRefuse   Action = "model.refuse"
	ModelRollback Action = "model.rollback"

	NodeMemberChange  Action = "node.member.change"
	NodeMemberDemote  Action = "node.member.demote"
	NodeMemberInvite  Action = "node.member.invite"
	NodeMemberJoin    Action = "node.member.join"
	NodeMemberPromote Action = "node.member.promote"
	NodeMemberRemove  Action = "node.member.remove"
	NodeQuarantine    Action = "node.quarantine"
	NodeReadonly      Action = "node.readonly"
	NodeSkew          Action = "node.skew"
	NodeStart         Action = "node.start"
	NodeStop          Action = "node.stop"
	NodeTransfer      Action = "node.transfer"
	NodeWritable      Action = "node.writable"

	RetentionDelete    Action = "retention.delete"
	RetentionHoldClear Action = "retention.hold.clear"
	RetentionHoldSet   Action = "retention.hold.set"

	ReviewAssign   Action = "review.assign"
	ReviewClaim    Action = "review.claim"
	ReviewConfirm  Action = "review.confirm"
	ReviewDecide   Action = "review.decide"
	ReviewEscalate Action = "review.escalate"
	ReviewNote     Action = "review.note"
	ReviewObject   Action = "review.object"
	ReviewOpen     Action = "review.open"
	ReviewOverdue  Action = "review.overdue"
	ReviewRelease  Action = "review.release"

	RulesActivate Action = "rules.activate"
	RulesApprove  Action = "rules.approve"
	RulesPropose  Action = "rules.propose"
	RulesReject   Action = "rules.reject"
	RulesRollback Action = "rules.rollback"
	RulesTest     Action = "rules.test"

	ScreeningPerform Action = "screening.perform"
	ScreeningRepeat  Action = "screening.repeat"

	SealSeal         Action = "seal.seal"
	SealSlotAdd      Action = "seal.slot.add"
	SealSlotRemove   Action = "seal.slot.remove"
	SealUnseal       Action = "seal.unseal"
	SealUnsealFailed Action = "seal.unseal.failed"

	SessionCancel      Action = "session.cancel"
	SessionCreate      Action = "session.create"
	SessionEvidenceAdd Action = "session.evidence.add"
	SessionExpire      Action = "session.expire"
	SessionFail        Action = "session.fail"
	SessionReassign    Action = "session.reassign"
	SessionRetry       Action = "session.retry"
	SessionReturn      Action = "session.return"
	SessionSubmit      Action = "session.submit"

	SetupComplete Action = "setup.complete"
	SetupDeny     Action = "setup.deny"

	SubjectCreate        Action = "subject.create"
	SubjectEraseFinalise Action = "subject.erase.finalise"
	SubjectEraseRequest  Action = "subject.erase.request"
	SubjectEraseRestrict Action = "subject.erase.restrict"
	SubjectExport        Action = "subject.export"

	TemplateDelete Action = "template.delete"
	TemplateEnrol  Action = "template.enrol"

	TenantChange  Action = "tenant.change"
	TenantCreate  Action = "tenant.create"
	TenantDelete  Action = "tenant.delete"
	TenantSuspend Action = "tenant.suspend"

	UpgradeInstall  Action = "upgrade.install"
	UpgradeRollback Action = "upgrade.rollback"

	UserChange  Action = "user.change"
	UserCreate  Action = "user.create"
	UserDisable Action = "user.disable"
	UserReset   Action = "user.reset"

	WebhookChange Action = "webhook.change"
	WebhookFail   Action = "webhook.fail"
	WebhookReplay Action = "webhook.replay"
)

type meaning struct {
	action Action
	text   string
}

// meanings of all actions, sorted by action.
var meanings = []meaning{
	{AccessAudit, "events of an audit log were read"},
	{AccessCase, "a case under review was read"},
	{AccessEvidence, "evidence of a person was read"},
	{AccessReport, "a report of a verification was read"},
	{AccessResult, "the result of a verification was read"},
	{AccessSubject, "what is held of a person was read"},
	{AccessTemplate, "a face template was read"},
	{AuditAnchor, "a checkpoint of a tenant's log was put into the system's log"},
	{AuditChallenge, "an auditor's nonce was received"},
	{AuditCosign, "a checkpoint was cosigned by an auditor or another node"},
	{AuditExport, "a bundle for an auditor was made"},
	{AuditVerify, "an audit log was verified"},
	{AuthDeny, "a sign-in or a credential was not accepted"},
	{AuthLock, "a credential was locked after too many failures"},
	{AuthSignin, "an actor signed in"},
	{AuthSignout, "an actor signed out"},
	{AuthzDeny, "an actor asked for what its roles do not allow"},
	{BackupCreate, "a backup was made"},
	{BackupDrill, "a backup was restored in a drill and compared"},
	{BackupFail, "a backup could not be made"},
	{BackupPrune, "old backups were removed"},
	{BackupRestore, "the state was restored from a backup"},
	{BackupVerify, "a backup was read and verified"},
	{BlocklistAdd, "a face was put on the blocklist"},
	{BlocklistRemove, "a face was taken off the blocklist"},
	{ClientCreate, "an API client was created"},
	{ClientRevoke, "an API client was revoked"},
	{ClientRotate, "the credential of an API client was replaced"},
	{ClusterFinalise, "the active version was raised"},
	{ClusterFound, "the cluster was founded"},
	{ClusterRecover, "the cluster was recovered after a lost quorum"},
	{CommandRefused, "a command was refused by a rule of the state"},
	{ConfigActivate, "a configuration of a tenant took effect"},
	{ConfigApprove, "a change of configuration was approved by a second person"},
	{ConfigPropose, "a change of configuration was proposed"},
	{ConfigReject, "a proposed change of configuration was turned down"},
	{ConfigRollback, "an earlier configuration took effect again"},
	{ConsentRecord, "a person's consent was recorded"},
	{ConsentWithdraw, "a person's consent was withdrawn"},
	{DecisionMake, "a verification was decided"},
	{DocumentProcess, "a document was read and judged in a verification"},
	{DocumentRead, "a document was read outside a verification"},
	{DuplicateSearch, "a face was compared with all that are enrolled"},
	{EvidenceHeal, "a damaged copy of an evidence was replaced by a good one"},
	{EvidenceQuarantine, "a damaged copy of an evidence was put aside"},
	{FaceCompare, "two faces were compared outside a verification"},
	{FaceProcess, "faces were compared in a verification"},
	{FaceSearch, "enrolled faces were searched outside a verification"},
	{GalleryRebuild, "a tenant's face galleries were rebuilt, or their graph built"},
	{GalleryVerify, "a tenant's face galleries were compared with its templates"},
	{KeyCertificateIssue, "a certificate was issued"},
	{KeyCertificateRevoke, "a certificate was revoked"},
	{KeyCreate, "a key was created"},
	{KeyDestroy, "a key was destroyed"},
	{KeyRotate, "a key was replaced by a new version"},
	{ListActivate, "a screening list took effect"},
	{ListApprove, "a screening list was approved by a second person"},
	{ListImport, "a screening list was imported"},
	{ListReject, "a screening list was turned down"},
	{ListRollback, "an earlier screening list took effect again"},
	{ListStale, "a screening list is older than allowed"},
	{LivenessProcess, "the liveness of a face was judged"},
	{LogEpochStart, "the log continues under a new epoch"},
	{LogKeyRotate, "the key that signs checkpoints was replaced"},
	{LogSegmentSeal, "a segment of the log was sealed into files"},
	{ModelActivate, "a pack of models took effect"},
	{ModelLoad, "a pack of models was loaded"},
	{ModelRefuse, "a pack of models was not accepted"},
	{ModelRollback, "an earlier pack of models took effect again"},
	{NodeMemberChange, "what the cluster knows of a node was changed"},
	{NodeMemberDemote, "a node lost its vote"},
	{NodeMemberInvite, "a node was invited to join the cluster"},
	{NodeMemberJoin, "a node joined the cluster"},
	{NodeMemberPromote, "a node received a vote"},
	{NodeMemberRemove, "a node was removed from the cluster"},
	{NodeQuarantine, "a node put itself aside: its state differs from the others'"},
	{NodeReadonly, "a node takes no new evidence: its disk is almost full"},
	{NodeSkew, "the clocks of nodes differ more than allowed"},
	{NodeStart, "a node started"},
	{NodeStop, "a node stopped"},
	{NodeTransfer, "leadership was handed to another node"},
	{NodeWritable, "a node takes evidence again"},
	{RetentionDelete, "data were deleted because their time was over"},
	{RetentionHoldClear, "a legal hold was lifted"},
	{RetentionHoldSet, "a legal hold was placed"},
	{ReviewAssign, "a case was given to a reviewer"},
	{ReviewClaim, "a reviewer took a case"},
	{ReviewConfirm, "a second person confirmed a reviewer's decision"},
	{ReviewDecide, "a reviewer decided a case"},
	{ReviewEscalate, "a case was passed to compliance"},
	{ReviewNote, "a note was added to a case"},
	{ReviewObject, "a second person did not confirm a reviewer's decision"},
	{ReviewOpen, "a case was opened"},
	{ReviewOverdue, "a case was not decided in time"},
	{ReviewRelease, "a reviewer gave a case back"},
	{RulesActivate, "a set of decision rules took effect"},
	{RulesApprove, "a set of decision rules was approved by a second person"},
	{RulesPropose, "a set of decision rules was proposed"},
	{RulesReject, "a set of decision rules was turned down"},
	{RulesRollback, "an earlier set of decision rules took effect again"},
	{RulesTest, "a set of decision rules was tried on past verifications"},
	{ScreeningPerform, "a person was compared with screening lists"},
	{ScreeningRepeat, "persons on file were compared with a new screening list"},
	{SealSeal, "a node was sealed"},
	{SealSlotAdd, "a way to unseal was added"},
	{SealSlotRemove, "a way to unseal was removed"},
	{SealUnseal, "a node was unsealed"},
	{SealUnsealFailed, "a node could not be unsealed"},
	{SessionCancel, "a verification was cancelled"},
	{SessionCreate, "a verification was initiated"},
	{SessionEvidenceAdd, "evidence was added to a verification"},
	{SessionExpire, "a verification was not submitted in time"},
	{SessionFail, "a verification ended without a decision"},
	{SessionReassign, "a verification that had not failed was given to another node"},
	{SessionRetry, "a verification was given to another worker"},
	{SessionReturn, "a verification waits for better evidence"},
	{SessionSubmit, "a verification was submitted"},
	{SetupComplete, "the first administrator was created"},
	{SetupDeny, "a setup code was not accepted"},
	{SubjectCreate, "a person was put on file"},
	{SubjectEraseFinalise, "the keys of an erased person were destroyed on every node"},
	{SubjectEraseRequest, "the erasure of a person was requested"},
	{SubjectEraseRestrict, "the data of a person can no longer be read"},
	{SubjectExport, "a person's data were given out"},
	{TemplateDelete, "a face template was deleted"},
	{TemplateEnrol, "a face template was enrolled"},
	{TenantChange, "the settings of a tenant were changed"},
	{TenantCreate, "a tenant was created"},
	{TenantDelete, "a tenant was deleted and its key destroyed"},
	{TenantSuspend, "a tenant was suspended"},
	{UpgradeInstall, "a version of the program was installed"},
	{UpgradeRollback, "an earlier version of the program was installed again"},
	{UserChange, "a user's name or roles were changed"},
	{UserCreate, "a user was created"},
	{UserDisable, "a user was disabled"},
	{UserReset, "a user's credential was reset"},
	{WebhookChange, "a webhook was created, changed or removed"},
	{WebhookFail, "a notification was given up after its last try"},
	{WebhookReplay, "notifications were sent again"},
}

// Actions gives all actions, sorted.
func Actions() []Action {
	all := make([]Action, len(meanings))
	for i, m := range meanings {
		all[i] = m.action
	}
	return all
}

// Meaning tells in one line what happened; empty for what is no action.
func (a Action) Meaning() string {
	i, found := slices.BinarySearchFunc(meanings, a, func(m meaning, a Action) int { return strings.Compare(string(m.action), string(a)) })
	if !found {
		return ""
	}
	return meanings[i].text
}

// Valid tells whether a is one of the actions.
func (a Action) Valid() bool { return a.Meaning() != "" }
