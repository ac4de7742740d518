// Package gallery is the 1:N index: who, among all enrolled faces, is most like
// a probe? The exact engine compares every one of them and proves that it missed
// none; the graph engine looks at few and says how many it is known to miss.
// DESIGN.md tells how.
//
// A gallery belongs to one owner and one list, and its rows to one model: the
// package must never compare across them. It must never answer from a row that
// was removed, nor keep a copy of its bytes. It knows no names: a row is a
// number, given in rising order of enrolment.
package gallery
