(* SPDX-License-Identifier: MIT *)

(* One's-complement sums: "Checksums" of docs/design.md. All numbers are integers
   without bounds. The SMT part shows that the code has these functions, and that
   nothing overflows in them. *)
Require Import ZArith Lia List Permutation.
Import ListNotations.
Open Scope Z_scope.

Definition M := 65535.

(* One addition of carries, and fold and fold64 of offload/checksum.go. *)
Definition step (n s : Z) := s / 2 ^ n + s mod 2 ^ n.
Definition fold (s : Z) := step 16 (step 16 s).
Definition fold64 (s : Z) := fold (step 32 (step 32 s)).

Ltac euclid := Z.to_euclidean_division_equations; lia.
Ltac bounds := unfold step, M in *; change (2 ^ 16) with 65536 in *; change (2 ^ 32) with 4294967296 in *;
  change (2 ^ 64) with 18446744073709551616 in *; euclid.

Lemma mod_plus a k : (a + k * M) mod M = a mod M.
Proof. apply Z.mod_add. discriminate. Qed.

Lemma step16_mod s : step 16 s mod M = s mod M.
Proof.
  rewrite <- (mod_plus (step 16 s) (s / 2 ^ 16)). f_equal. unfold step, M.
  pose proof (Z.div_mod s (2 ^ 16) ltac:(discriminate)). lia.
Qed.

Lemma step32_mod s : step 32 s mod M = s mod M.
Proof.
  rewrite <- (mod_plus (step 32 s) (s / 2 ^ 32 * 65537)). f_equal. unfold step, M.
  pose proof (Z.div_mod s (2 ^ 32) ltac:(discriminate)). lia.
Qed.

Lemma step_le n s : 0 <= n -> 0 <= s -> 0 <= step n s <= s.
Proof.
  intros Hn Hs. unfold step. assert (0 < 2 ^ n) by (apply Z.pow_pos_nonneg; lia).
  pose proof (Z.div_mod s (2 ^ n) ltac:(lia)). pose proof (Z.mod_pos_bound s (2 ^ n) ltac:(lia)).
  pose proof (Z.div_pos s (2 ^ n) Hs ltac:(lia)). nia.
Qed.

Lemma fold64_le s : 0 <= s -> fold64 s <= s.
Proof.
  intros Hs. unfold fold64, fold. pose proof (step_le 32 s ltac:(lia) Hs).
  pose proof (step_le 32 (step 32 s) ltac:(lia) ltac:(lia)).
  pose proof (step_le 16 (step 32 (step 32 s)) ltac:(lia) ltac:(lia)).
  pose proof (step_le 16 (step 16 (step 32 (step 32 s))) ltac:(lia) ltac:(lia)). lia.
Qed.

(* Folding keeps the value modulo 0xFFFF. *)
Theorem fold_mod s : fold s mod M = s mod M.
Proof. unfold fold. now rewrite !step16_mod. Qed.

Theorem fold64_mod s : fold64 s mod M = s mod M.
Proof. unfold fold64. now rewrite fold_mod, !step32_mod. Qed.

(* The result is in 1..0xFFFF for what is not zero, and 0 for 0. *)
Theorem fold_range s : 0 < s < 2 ^ 32 -> 1 <= fold s <= M.
Proof.
  intros H. unfold fold.
  assert (1 <= step 16 s <= 131070) by bounds. bounds.
Qed.

Theorem fold64_range s : 0 < s < 2 ^ 64 -> 1 <= fold64 s <= M.
Proof.
  intros H. unfold fold64.
  assert (1 <= step 32 s <= 2 * (2 ^ 32 - 1)) by bounds.
  apply fold_range. bounds.
Qed.

Theorem fold_zero : fold 0 = 0 /\ fold64 0 = 0.
Proof. split; reflexivity. Qed.

(* A folded sum of what is not all zero is unique. *)
Theorem unique a b : 1 <= a <= M -> 1 <= b <= M -> a mod M = b mod M -> a = b.
Proof. unfold M. intros. euclid. Qed.

(* Sums may be folded on the way, at any place: of a chain too. *)
Theorem fold_chain a b : 0 < a < 2 ^ 64 -> 0 <= b < 2 ^ 16 ->
  fold (fold64 a + b) = fold64 (a + b) \/ 2 ^ 64 <= a + b.
Proof.
  intros Ha Hb. destruct (Z_lt_ge_dec (a + b) (2 ^ 64)) as [L|]; [left|right; lia].
  pose proof (fold64_range a Ha). apply unique.
  - apply fold_range. unfold M in *. lia.
  - apply fold64_range. lia.
  - rewrite fold_mod, fold64_mod. rewrite <- (Z.add_mod_idemp_l (fold64 a)) by discriminate.
    rewrite fold64_mod. now rewrite Z.add_mod_idemp_l by discriminate.
Qed.

(* Sums of words. *)
Definition word (w : Z) := 0 <= w < 2 ^ 16.
Definition sum (l : list Z) := fold_right Z.add 0 l.

Lemma sum_app l m : sum (l ++ m) = sum l + sum m.
Proof. induction l; simpl in *; lia. Qed.

Lemma sum_cons w l : sum (w :: l) = w + sum l.
Proof. reflexivity. Qed.

Theorem any_order l m : Permutation l m -> sum l = sum m.
Proof. unfold sum. induction 1; simpl; lia. Qed.

(* Sum(append(a, b...), 0) == Sum(b, Sum(a, 0)) of offload.Sum, for the sum of all
   words. *)
Theorem chained l m : 0 < sum l -> 0 <= sum m -> sum l + sum m < 2 ^ 64 ->
  fold64 (sum m + fold64 (sum l)) = fold64 (sum (l ++ m)).
Proof.
  intros Hl Hm Small. rewrite sum_app.
  pose proof (fold64_range (sum l) ltac:(lia)) as R. unfold M in R.
  apply unique; [| apply fold64_range; lia |].
  - apply fold64_range. pose proof (fold64_le (sum l) ltac:(lia)). lia.
  - rewrite !fold64_mod. rewrite <- Z.add_mod_idemp_r by discriminate.
    rewrite fold64_mod, Z.add_mod_idemp_r by discriminate. f_equal. lia.
Qed.

(* Words of bytes. The padding byte of an odd length is zero. *)
Fixpoint words (b : list Z) : list Z :=
  match b with
  | h :: l :: b => 256 * h + l :: words b
  | [h] => [256 * h]
  | [] => []
  end.

Theorem odd_length b h : Nat.Even (length b) -> sum (words (b ++ [h])) = sum (words b) + 256 * h.
Proof.
  revert b. fix IH 1. intros [|x [|y b]] E.
  - cbn [app words sum fold_right]. lia.
  - destruct E as [n E]. simpl in E. lia.
  - cbn [app words]. rewrite !sum_cons, IH; [lia|].
    destruct E as [[|n] E]; simpl in E; [lia|]. exists n. lia.
Qed.

(* The words with their bytes swapped give the same sum, swapped (RFC 1071, 2 (B)). *)
Definition swap (w : Z) := 256 * (w mod 256) + w / 256.

Lemma swap_mod w : word w -> swap w mod M = (256 * w) mod M.
Proof.
  intros _. rewrite <- (mod_plus (swap w) (w / 256)). f_equal. unfold swap, M.
  pose proof (Z.div_mod w 256 ltac:(discriminate)). lia.
Qed.

Theorem byte_order l : Forall word l -> sum (map swap l) mod M = (256 * sum l) mod M.
Proof.
  induction 1 as [|w l Hw _ IH]; [reflexivity|].
  cbn [map]. rewrite !sum_cons.
  rewrite Z.mul_add_distr_l, Z.add_mod, IH, swap_mod by (auto; discriminate).
  now rewrite <- Z.add_mod by discriminate.
Qed.

Lemma swap_word w : word w -> word (swap w).
Proof. unfold word, swap. intros. bounds. Qed.

Theorem swapped_sum l : Forall word l -> 0 < sum l < 2 ^ 64 -> 0 < sum (map swap l) < 2 ^ 64 ->
  fold64 (sum l) = swap (fold64 (sum (map swap l))).
Proof.
  intros W H H'. pose proof (fold64_range _ H) as R. pose proof (fold64_range _ H') as R'.
  assert (W' : word (fold64 (sum (map swap l)))) by (unfold word, M in *; lia).
  apply unique; auto.
  - clear - R'. unfold swap, M in *. bounds.
  - rewrite swap_mod, fold64_mod by auto.
    rewrite <- Z.mul_mod_idemp_r, fold64_mod, byte_order by (auto; discriminate).
    rewrite Z.mul_mod_idemp_r by discriminate. rewrite <- (mod_plus (sum l) (sum l)).
    f_equal. unfold M. lia.
Qed.

(* The vectors of amd64 add signed words: each less 32768, which is added back for each
   word, those of the padding too. *)
Definition bias (w : Z) := w - 32768.

Theorem biased l : sum l = sum (map bias l) + 32768 * Z.of_nat (length l).
Proof.
  induction l as [|w l IH]; [reflexivity|].
  cbn [map length]. rewrite !sum_cons, Nat2Z.inj_succ. unfold bias at 1. lia.
Qed.

Theorem padding l n : sum (l ++ repeat 0 n) = sum l.
Proof. rewrite sum_app. induction n; cbn [repeat] in *; [cbn; lia|]. rewrite sum_cons. lia. Qed.

(* Lanes. Whatever words of the data and of the padding are added in a lane, and
   however lanes are added to each other, the sum fits 32 bits with a sign: at most
   2^16 bytes, and the padding of two blocks of at most 64 bytes. *)
Theorem signed_lane l : Forall word l -> Z.of_nat (length l) <= 2 ^ 15 + 64 ->
  - 2 ^ 31 <= sum (map bias l) < 2 ^ 31.
Proof.
  intros W L.
  enough (- 32768 * Z.of_nat (length l) <= sum (map bias l) <= 32767 * Z.of_nat (length l)) by lia.
  clear L. induction W as [|w l Hw _ IH]; [simpl; lia|].
  cbn [map length]. rewrite sum_cons, Nat2Z.inj_succ. unfold word, bias in *. lia.
Qed.

(* One instruction multiplies pairs of signed words by one and adds the products: a
   pair fits 32 bits. *)
Theorem signed_pair a b : word a -> word b -> - 2 ^ 31 <= bias a + bias b < 2 ^ 31.
Proof. unfold word, bias. lia. Qed.

(* What FOLD32 takes: the bias of all blocks, the words, the initial value, an odd
   byte. It is less than 2^33. *)
Theorem biased_sum_fits s initial odd : 0 <= s <= 65535 * (2 ^ 15 + 64) -> word initial -> 0 <= odd < 256 ->
  0 <= s + initial + odd < 2 ^ 33.
Proof. unfold word. lia. Qed.

(* NEON adds two unsigned words of each block of 16 bytes to each lane. A call takes at
   most 2^18 bytes, and lanes have room for those of 2^19. *)
Theorem unsigned_lane l : Forall word l -> Z.of_nat (length l) <= 2 * (2 ^ 19 / 16) ->
  0 <= sum l < 2 ^ 32.
Proof.
  intros W L. enough (0 <= sum l <= 65535 * Z.of_nat (length l)) by (change (2 ^ 19 / 16) with 32768 in L; lia).
  clear L. induction W as [|w l Hw _ IH]; [simpl; lia|].
  cbn [length]. rewrite sum_cons, Nat2Z.inj_succ.
  unfold word in *. lia.
Qed.

(* The complement of a word takes it away: neg of offload/checksum.go. *)
Definition neg (w : Z) := M - w.

Theorem neg_mod s w : (s + w + neg w) mod M = s mod M.
Proof. unfold neg. replace (s + w + (M - w)) with (s + 1 * M) by lia. apply mod_plus. Qed.

(* A right checksum. rest is the sum of all other words. The sum of all is 0xFFFF if
   and only if the field has the complement, in one of its two forms. *)
Theorem right_checksum rest c : 0 < rest < 2 ^ 64 - 2 ^ 16 -> word c ->
  (fold64 (rest + c) = M <-> c = neg (fold64 rest) \/ (c = M /\ fold64 rest = M)).
Proof.
  intros Hr Hc. pose proof (fold64_range rest ltac:(lia)) as R.
  assert (Hs : 0 < rest + c < 2 ^ 64) by (unfold word in Hc; lia).
  pose proof (fold64_range (rest + c) Hs) as Rs.
  pose proof (fold64_mod (rest + c)) as E. rewrite <- Z.add_mod_idemp_l in E by discriminate.
  rewrite <- (fold64_mod rest), Z.add_mod_idemp_l in E by discriminate.
  unfold word, neg, M in *. split; intros H; [|destruct H as [->|[-> H]]].
  - rewrite H in E. clear - R Hc E. euclid.
  - clear - R Rs E. euclid.
  - rewrite H in *. clear - R Rs E. euclid.
Qed.

(* The form that Segment writes is the complement. 0xFFFF in its place means that the
   other words sum to 0xFFFF: the field would come back as 0. *)
Theorem written_form rest c : 0 < rest < 2 ^ 64 - 2 ^ 16 -> word c ->
  (fold64 (rest + c) = M /\ c <> M <-> c = neg (fold64 rest)).
Proof.
  intros Hr Hc. rewrite (right_checksum rest c Hr Hc).
  pose proof (fold64_range rest ltac:(lia)). unfold word, neg, M in *. lia.
Qed.

(* RFC 1624: a word changes from w to v. *)
Theorem update rest w v : 0 <= rest -> word w -> word v -> 0 < rest + w < 2 ^ 30 -> 0 < rest + v < 2 ^ 30 ->
  fold (fold (rest + w) + neg w + v) = fold (rest + v).
Proof.
  intros H0 Hw Hv H H'. pose proof (fold_range (rest + w) ltac:(lia)).
  apply unique.
  - apply fold_range. unfold word, neg, M in *. lia.
  - apply fold_range. lia.
  - rewrite !fold_mod. rewrite <- Z.add_assoc, <- Z.add_mod_idemp_l, fold_mod by discriminate.
    rewrite Z.add_mod_idemp_l by discriminate. rewrite <- (neg_mod (rest + v) w).
    f_equal. lia.
Qed.

(* The same of an IPv4 header with another length and another ID: ipSum of offload's
   run. rest is the sum of the other words. *)
Theorem header_update rest l i l' i' : 0 < rest < 2 ^ 24 -> word l -> word i -> 0 <= l' < 2 ^ 24 -> word i' ->
  fold (fold (rest + l + i) + neg l + neg i + l' + i') = fold (rest + l' + i').
Proof.
  intros H Hl Hi Hl' Hi'. unfold word in *. pose proof (fold_range (rest + l + i) ltac:(lia)).
  apply unique.
  - apply fold_range. unfold neg, M in *. lia.
  - apply fold_range. lia.
  - rewrite !fold_mod.
    replace (fold (rest + l + i) + neg l + neg i + l' + i') with
      (fold (rest + l + i) + (neg l + neg i + l' + i')) by lia.
    rewrite <- Z.add_mod_idemp_l, fold_mod, Z.add_mod_idemp_l by discriminate.
    rewrite <- (neg_mod (rest + l' + i') l), <- (neg_mod (rest + l' + i' + l + neg l) i).
    f_equal. lia.
Qed.

(* A folded sum may be one of the words of another: fold of a sum that was folded on the
   way, and of one to which 0xFFFF was added. *)
Theorem fold_inner a b : 0 <= a -> 0 <= b -> a + b < 2 ^ 32 -> fold (fold a + b) = fold (a + b).
Proof.
  intros Ha Hb H. destruct (Z.eq_dec a 0) as [->|]; [reflexivity|].
  pose proof (fold_range a ltac:(lia)).
  assert (fold a <= a).
  { unfold fold. pose proof (step_le 16 a ltac:(lia) Ha). pose proof (step_le 16 (step 16 a) ltac:(lia) ltac:(lia)). lia. }
  apply unique; try (apply fold_range; lia).
  rewrite !fold_mod. rewrite <- Z.add_mod_idemp_l, fold_mod by discriminate.
  now rewrite Z.add_mod_idemp_l by discriminate.
Qed.

Theorem fold_more a : 0 < a -> a + M < 2 ^ 32 -> fold (a + M) = fold a.
Proof.
  intros Ha H. unfold M in *. apply unique; try (apply fold_range; lia).
  rewrite !fold_mod. replace (a + 65535) with (a + 1 * M) by (unfold M; lia). apply mod_plus.
Qed.

(* By delta (S6). partial is what the field has: the pseudo-header with the old length,
   wrong by d. The sum that a segment gets is the one of the new length, wrong by d. *)
Theorem by_delta pseudo old new d rest :
  (((pseudo + old + d) + neg old) + new + rest) mod M = ((pseudo + new + rest) + d) mod M.
Proof. rewrite <- (neg_mod (pseudo + new + rest + d) old). f_equal. lia. Qed.
