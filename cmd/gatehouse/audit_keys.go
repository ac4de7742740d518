package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"

	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

func keygenCommand() command {
	return command{
		name: "audit keygen", plain: true, args: "--out FILE --witness NAME | --disclosure", summary: "make an auditor's key: to cosign, or to read disclosures",
		manual: `
Makes a key of the auditor's. The secret goes into --out with mode 0600, the public
text into FILE.pub; neither is overwritten. Give the bank FILE.pub, by a way on
which nobody can change it.

--witness makes a key that cosigns the log's heads ('audit witness'). Its NAME is
best a domain of yours, with a path or without. The bank keeps what it signs
('audit cosign'), and who verifies bundles puts the line that is printed into his
policy.

--disclosure makes a key that reads personal data which the bank discloses with
'audit export --disclose-to'. Who has the secret can read all that was ever
disclosed to it.

Example:
  gatehouse audit keygen --witness auditor.example --out auditor.key`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var k keygenFlags
			fs.StringVar(&k.out, "out", "", "write the secret key into this `FILE`, and the public one into FILE.pub")
			fs.StringVar(&k.witness, "witness", "", "a key that cosigns under this `NAME`")
			fs.BoolVar(&k.disclosure, "disclosure", false, "a key that reads disclosures")
			return k.run
		},
	}
}

type keygenFlags struct {
	out, witness string
	disclosure   bool
}

// madeKey is what is printed of a key: nothing secret.
type madeKey struct {
	File       string `json:"file"`
	PublicFile string `json:"public_file"`
	Public     string `json:"public"`
	PolicyLine string `json:"policy_line,omitempty"` // of a witness
}

func (k *keygenFlags) run(_ context.Context, c *call, args []string) error {
	if err := arguments(args); err != nil {
		return err
	}
	if k.out == "" || (k.witness == "") != k.disclosure {
		return fmt.Errorf("%w: it needs --out FILE, and either --witness NAME or --disclosure", errUsage)
	}
	secret, public, err := k.make()
	if err != nil {
		return err
	}
	made := &madeKey{File: k.out, PublicFile: k.out + ".pub", Public: public}
	if !k.disclosure {
		made.PolicyLine = "witness auditor " + public
	}
	if _, err := os.Lstat(made.PublicFile); err == nil {
		return &inputError{made.PublicFile, errors.New("it is there already and is not overwritten; name another")}
	}
	f, err := newPrivateFile(k.out, false)
	if err != nil {
		return err
	}
	defer f.discard()
	if err := f.commit([]byte(secret + "\n")); err != nil {
		return err
	}
	if err := writeWhole(made.PublicFile, []byte(public+"\n")); err != nil {
		return err
	}
	show(c, made, (*madeKey).describe)
	return nil
}

func (k *keygenFlags) make() (secret, public string, err error) {
	if !k.disclosure {
		secret, public, err = trust.NewWitness(k.witness, rand.Reader)
		if errors.Is(err, trust.ErrWitness) {
			err = fmt.Errorf("%w: %w", errUsage, err)
		}
		return secret, public, err
	}
	s, err := bundle.NewSecret(rand.Reader)
	if err != nil {
		return "", "", err
	}
	secret, err = s.Text()
	return secret, s.Recipient().String(), err
}

func (k *madeKey) describe() string {
	head := fmt.Sprintf("%s: the secret key; keep it to yourself\n%s: the public key; give it to the bank\n\n", oneLine(k.File), oneLine(k.PublicFile))
	if k.PolicyLine == "" {
		return head + "The bank discloses to it with 'gatehouse audit export --disclose-to FILE.pub'.\n"
	}
	return head + "Who trusts it puts this line into his policy, before its quorum line:\n\n  " + k.PolicyLine + "\n"
}

// maxSecretKey bytes: a witness's key is its name of 255 bytes at most and 80
// more, a disclosure key a prefix and 44.
const maxSecretKey = 1 << 10

// readPrivate reads a secret key that only its owner can read.
func readPrivate(name string) ([]byte, error) {
	if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o077 != 0 {
		return nil, &inputError{name, fmt.Errorf("its mode is %04o, so that others may use the key in it; chmod 600 it", st.Mode().Perm())}
	}
	return readSmall(name, maxSecretKey)
}
