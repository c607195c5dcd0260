// Prints vectors of golang.org/x/mod/sumdb/{note,tlog} as JSON: `go run . > sumdb.json`.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type store struct{ hashes []tlog.Hash }

func (s *store) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = s.hashes[index]
	}
	return out, nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	s := &store{}
	roots := []string{}
	proofs := []map[string]any{}
	for n := int64(0); n < 21; n++ {
		added, err := tlog.StoredHashes(n, []byte(fmt.Sprintf("leaf %d", n)), s)
		must(err)
		s.hashes = append(s.hashes, added...)
		root, err := tlog.TreeHash(n+1, s)
		must(err)
		roots = append(roots, hex.EncodeToString(root[:]))
		for _, i := range []int64{0, n / 2, n} {
			proof, err := tlog.ProveRecord(n+1, i, s)
			must(err)
			steps := []string{}
			for _, h := range proof {
				steps = append(steps, hex.EncodeToString(h[:]))
			}
			proofs = append(proofs, map[string]any{"size": n + 1, "index": i, "proof": steps})
		}
	}
	private, public, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)), "halflife/flights")
	must(err)
	signer, err := note.NewSigner(private)
	must(err)
	other, otherPublic, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{9}, 64)), "witness.example/1")
	must(err)
	second, err := note.NewSigner(other)
	must(err)
	root, err := tlog.TreeHash(3, s)
	must(err)
	text := fmt.Sprintf("halflife/flights\n3\n%s\nsegment 00000003-01jd0000000000000000000000 %s\nprevious %s\n", root, roots[2], roots[1])
	one, err := note.Sign(&note.Note{Text: text}, signer)
	must(err)
	two, err := note.Sign(&note.Note{Text: text}, signer, second)
	must(err)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	must(encoder.Encode(map[string]any{
		"made_by": "tests/audit/sealing/sumdb/main.go with golang.org/x/mod (sumdb/note, sumdb/tlog)",
		"leaves": "leaf 0, leaf 1, ...", "roots": roots, "proofs": proofs,
		"private": private, "public": public, "other_public": otherPublic,
		"text": text, "note": string(one), "note_of_two": string(two),
	}))
}
