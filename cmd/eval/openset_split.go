package main

import (
	"math/rand/v2"
	"path"
)

// division of the pictures, the same in every split.
type division struct {
	// fillers have one picture and are always enrolled; loners have one and
	// never are. Nobody searches for a filler: invented faces are made of them.
	fillers, loners []int
	people          [][]int // pictures of each person who has several
	person          []int   // whose each picture is
}

// split says who is enrolled. Numbers are indexes of pictures.
type split struct {
	enrolled  []int // one picture a person
	mated     []int // another picture of the person of enrolled[i]
	strangers []int // one picture a person who is not enrolled
}

// divide the pictures; a person's lie in a folder of their own.
func divide(names []string, seed uint64) *division {
	at := map[string]int{}
	var all [][]int
	for i, n := range names {
		who := path.Dir(n)
		if _, ok := at[who]; !ok {
			at[who] = len(all)
			all = append(all, nil)
		}
		all[at[who]] = append(all[at[who]], i)
	}
	d := &division{person: make([]int, len(names))}
	for who, pictures := range all {
		for _, p := range pictures {
			d.person[p] = who
		}
	}
	for _, pictures := range all {
		if len(pictures) > 1 {
			d.people = append(d.people, pictures)
		} else {
			d.loners = append(d.loners, pictures[0])
		}
	}
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(d.loners), func(i, j int) { d.loners[i], d.loners[j] = d.loners[j], d.loners[i] })
	half := len(d.loners) / 2
	d.fillers, d.loners = d.loners[:half:half], d.loners[half:]
	return d
}

// split number n: half of the people are enrolled, with a picture that is drawn,
// and searched for with another.
func (d *division) split(seed, n uint64) *split {
	r := rand.New(rand.NewPCG(seed, 1+n))
	s := &split{}
	for i, who := range r.Perm(len(d.people)) {
		pictures := d.people[who]
		drawn := r.Perm(len(pictures))
		if i < len(d.people)/2 {
			s.enrolled, s.mated = append(s.enrolled, pictures[drawn[0]]), append(s.mated, pictures[drawn[1]])
		} else {
			s.strangers = append(s.strangers, pictures[drawn[0]])
		}
	}
	s.enrolled, s.strangers = append(s.enrolled, d.fillers...), append(s.strangers, d.loners...)
	return s
}
