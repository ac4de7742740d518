package decide

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
)

//go:embed default.json
var defaultSet []byte

// Rules is a compiled rule set. Safe for concurrent use.
type Rules struct {
	id        RuleSet
	rules     []compiled
	otherwise []band
}

type compiled struct {
	rule
	signal  string // the first that the condition names
	program cel.Program
}

// costLimit bounds one rule set, in cel-go's units (about one for each
// operation): its estimate when it is compiled, for mostSignals signals, and
// what it spends on one decision. Twenty thousand are some 10 ms of one core
// (BenchmarkCostLimit; a decision has 100 ms), fifty loops over all signals,
// and two hundred times what the default set spends at most.
const costLimit = 20_000

// Default compiles the set that comes with the program.
func Default() (*Rules, error) { return Compile(defaultSet) }

// Compile checks and compiles a rule set. Errors: ErrRules, naming the rule
// and the place in it, and ErrCost.
func Compile(document []byte) (*Rules, error) {
	s, canonical, err := parse(document)
	if err != nil {
		return nil, err
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(canonical)
	r := &Rules{id: RuleSet{s.Name, s.Version, hex.EncodeToString(hash[:])}, otherwise: s.Otherwise}
	spent := uint64(0)
	for _, one := range s.Rules {
		c, cost, err := compile(env, one)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", one.ID, err)
		}
		if spent = add(spent, cost); spent > costLimit {
			return nil, fmt.Errorf("rule %q: %w: with the rules before it up to %s units, %d are allowed; make it simpler", one.ID, ErrCost, units(spent), costLimit)
		}
		r.rules = append(r.rules, c)
	}
	return r, nil
}

// Alone is the set for a verification without a gallery: without the rules that
// look at what a search found, under another name.
func (r *Rules) Alone() *Rules {
	alone := *r
	alone.id.Name += "-alone"
	alone.rules = slices.DeleteFunc(slices.Clone(r.rules), func(c compiled) bool { return c.signal == Unique || c.signal == NotListed })
	return &alone
}

// Version names the rule set and its contents.
func (r *Rules) Version() string { return r.id.String() }

func add(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func units(n uint64) string {
	if n == math.MaxUint64 {
		return "endless"
	}
	return fmt.Sprint(n)
}

func compile(env *cel.Env, r rule) (compiled, uint64, error) {
	none := compiled{}
	checked, issues := env.Compile(r.When)
	if issues.Err() != nil {
		e := issues.Errors()[0]
		return none, 0, fmt.Errorf("%w: line %d, column %d: %s", ErrRules, e.Location.Line(), e.Location.Column()+1, cut(e.Message))
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) {
		return none, 0, fmt.Errorf("%w: its condition is of type %s; it must be true or false", ErrRules, t)
	}
	first, err := names(checked.NativeRep())
	if err != nil {
		return none, 0, err
	}
	cost, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return none, 0, fmt.Errorf("%w: %w", ErrRules, err)
	}
	p, err := env.Program(checked, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return none, 0, fmt.Errorf("%w: %w", ErrRules, err)
	}
	return compiled{r, first, p}, cost.Max, nil
}

// names checks every text of a condition: the environment knows no other texts
// than names of signals. It returns the first.
func names(a *ast.AST) (string, error) {
	first, at := "", math.MaxInt
	var err error
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.LiteralKind || err != nil {
			return
		}
		name, isText := e.AsLiteral().Value().(string)
		if !isText {
			return
		}
		where := a.SourceInfo().GetStartLocation(e.ID())
		if !isKnown(name) {
			err = fmt.Errorf("%w: line %d, column %d: no signal is named %q, the nearest is %q", ErrRules, where.Line(), where.Column()+1, cut(name), nearest(cut(name), known()))
		}
		if offset, ok := a.SourceInfo().GetOffsetRange(e.ID()); ok && int(offset.Start) < at {
			first, at = name, int(offset.Start)
		}
	}))
	return first, err
}
