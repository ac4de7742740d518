package decide

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// Variables of a condition. A rule cannot name the ones with an @: the
// functions below expand to them.
const (
	varScore     = "score"
	varAvailable = "available"
	varPassed    = "@passed" // sets of names
	varFailed    = "@failed"
	varValues    = "@values"
)

const (
	// nesting of a condition that the parser follows.
	maxNesting = 32
	// interruptEvery so many steps of a loop the context is looked at.
	interruptEvery = 100
	// mostSignals and mostName are the sizes that costs are estimated with;
	// where a decision has more, the cost limit stops it.
	mostSignals = 64
	mostName    = 64
)

// environment of a condition: the signals, the score, comparison, logic,
// arithmetic and loops over lists. No conversions, patterns or times: a rule
// has nothing to use them on.
func environment() (*cel.Env, error) {
	standard := env.NewLibrarySubset()
	for _, name := range []string{
		operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional, operators.NotStrictlyFalse,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Subtract, operators.Multiply, operators.Divide, operators.Negate, operators.In, operators.Index, "size",
	} {
		standard.AddIncludedFunctions(env.NewFunction(name))
	}
	// Not of texts: names of signals are written out, so that they can be checked.
	standard.AddIncludedFunctions(env.NewFunction(operators.Add, &env.Overload{ID: "add_double"}, &env.Overload{ID: "add_int64"}))
	standard.AddIncludedMacros(operators.All, operators.Exists, operators.ExistsOne)
	return cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(standard)),
		cel.CrossTypeNumericComparisons(true), // score < 50
		cel.ParserRecursionLimit(maxNesting),
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ParserErrorRecoveryLimit(1),
		cel.Variable(varScore, cel.DoubleType),
		cel.Variable(varAvailable, cel.ListType(cel.StringType)),
		cel.Variable(varPassed, cel.MapType(cel.StringType, cel.BoolType)),
		cel.Variable(varFailed, cel.MapType(cel.StringType, cel.BoolType)),
		cel.Variable(varValues, cel.MapType(cel.StringType, cel.DoubleType)),
		cel.Macros(
			ofSignal("passed", func(f cel.MacroExprFactory, name ast.Expr) ast.Expr {
				return f.NewCall(operators.In, name, f.NewIdent(varPassed))
			}),
			ofSignal("failed", func(f cel.MacroExprFactory, name ast.Expr) ast.Expr {
				return f.NewCall(operators.In, name, f.NewIdent(varFailed))
			}),
			ofSignal("unavailable", func(f cel.MacroExprFactory, name ast.Expr) ast.Expr {
				either := f.NewCall(operators.LogicalOr,
					f.NewCall(operators.In, name, f.NewIdent(varPassed)), f.NewCall(operators.In, f.Copy(name), f.NewIdent(varFailed)))
				return f.NewCall(operators.LogicalNot, either)
			}),
			ofSignal("value", func(f cel.MacroExprFactory, name ast.Expr) ast.Expr {
				return f.NewCall(operators.Index, f.NewIdent(varValues), name)
			}),
		),
	)
}

// ofSignal is a function of the name of one signal.
func ofSignal(name string, expand func(cel.MacroExprFactory, ast.Expr) ast.Expr) cel.Macro {
	return cel.GlobalMacro(name, 1, func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
		if args[0].Kind() == ast.LiteralKind && args[0].AsLiteral().Type() != types.StringType {
			return nil, f.NewError(args[0].ID(), name+" needs the name of a signal, in quotes")
		}
		return expand(f, args[0]), nil
	})
}

// sizes tells the estimate of costs how large the inputs may be.
type sizes struct{}

func (sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	switch n.Type().Kind() {
	case types.StringKind, types.BytesKind:
		return &checker.SizeEstimate{Max: mostName}
	case types.ListKind, types.MapKind:
		return &checker.SizeEstimate{Max: mostSignals}
	}
	return nil
}

// EstimateCallCost leaves the functions to cel-go.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
