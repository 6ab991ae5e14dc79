(* SPDX-License-Identifier: MIT *)

(* Packets that conflict never change places: rules C4 and C5 of docs/rules.md, and
   "Why order is kept" of docs/design.md. *)
Require Import Arith Lia List Permutation.
Import ListNotations.

Section Order.

(* A packet is its position in the batch. It is of a flow, or it has addresses but no
   flow, or it has neither. *)
Variables Flow Pair : Type.
Variable pairOf : Flow -> Pair.
Inductive identity := OfFlow (f : Flow) | OfPair (p : Pair) | Unknown.
Variable id : nat -> identity.

Definition addresses (i : identity) : option Pair :=
  match i with OfFlow f => Some (pairOf f) | OfPair p => Some p | Unknown => None end.

Definition conflict (a b : nat) : Prop :=
  match id a, id b with
  | OfFlow f, OfFlow g => f = g
  | x, y => addresses x <> None /\ addresses x = addresses y
  end.

(* The flows in which order is kept: all of them with InOrder, those of UDP with
   Reorder. *)
Variable orderedFlow : Flow -> Prop.
Definition ordered (a : nat) : Prop :=
  match id a with OfFlow f => orderedFlow f | _ => True end.

(* q is the latest packet before b that conflicts with b. *)
Definition latest (q b : nat) : Prop :=
  q < b /\ conflict q b /\ forall r, q < r -> r < b -> ~ conflict r b.

(* placed n s: the first n packets may be in the superpackets s, which leave in this
   order. A packet opens a superpacket, whatever it is. An ordered packet may join at
   the end, the superpacket of the latest packet that it conflicts with, which is of
   its flow (C4). Any other packet may join any superpacket at the end or in front
   (C5, without its conditions). Limits, MaxOpen and switches forbid joins and so only
   leave out some of these s. *)
Inductive placed : nat -> list (list nat) -> Prop :=
| nothing : placed 0 []
| opens n s : placed n s -> placed (S n) (s ++ [[n]])
| follows n l x r q f : placed n (l ++ x :: r) -> In q x -> latest q n ->
    id q = OfFlow f -> id n = OfFlow f -> placed (S n) (l ++ (x ++ [n]) :: r)
| behind n l x r : placed n (l ++ x :: r) -> ~ ordered n -> placed (S n) (l ++ (x ++ [n]) :: r)
| inFront n l x r : placed n (l ++ x :: r) -> ~ ordered n -> placed (S n) (l ++ (n :: x) :: r).

(* The packets as they leave. *)
Definition leaving (s : list (list nat)) := concat s.

(* a leaves before b. *)
Definition before (a b : nat) (l : list nat) : Prop :=
  exists l1 l2 l3, l = l1 ++ a :: l2 ++ b :: l3.

Lemma conflict_sym a b : conflict a b -> conflict b a.
Proof. unfold conflict. destruct (id a), (id b); simpl; intuition congruence. Qed.

Lemma leaving_middle l x r : leaving (l ++ x :: r) = leaving l ++ x ++ leaving r.
Proof. unfold leaving. now rewrite concat_app. Qed.

(* No packet is lost and none is doubled. *)
Theorem nothing_lost n s : placed n s -> Permutation (leaving s) (seq 0 n).
Proof.
  intros P. induction P as [|n s P IH|n l x r q f P IH|n l x r P IH|n l x r P IH];
    [constructor|..]; rewrite seq_S; simpl;
    (etransitivity; [|apply Permutation_app_tail, IH]); rewrite ?leaving_middle.
  - reflexivity.
  - rewrite <- !app_assoc. apply Permutation_app_head, Permutation_app_head, Permutation_app_comm.
  - rewrite <- !app_assoc. apply Permutation_app_head, Permutation_app_head, Permutation_app_comm.
  - rewrite <- !app_assoc. apply Permutation_app_head. rewrite app_assoc. apply Permutation_cons_append.
Qed.

Lemma leaving_in n s a : placed n s -> (In a (leaving s) <-> a < n).
Proof.
  intros P. apply nothing_lost in P. split; intros H.
  - apply (Permutation_in _ P), in_seq in H. lia.
  - apply (Permutation_in _ (Permutation_sym P)), in_seq. lia.
Qed.

Lemma leaving_once n s : placed n s -> NoDup (leaving s).
Proof.
  intros P. apply nothing_lost in P.
  apply (Permutation_NoDup (Permutation_sym P)), seq_NoDup.
Qed.

Ltac flat := repeat (simpl; rewrite <- app_assoc); reflexivity.

Lemma before_in a b l : In a l -> before a b (l ++ [b]).
Proof.
  intros H. apply in_split in H as (l1 & l2 & ->).
  exists l1, l2, []. flat.
Qed.

Lemma before_more a b l m : before a b l -> before a b (l ++ m).
Proof.
  intros (l1 & l2 & l3 & ->). exists l1, l2, (l3 ++ m).
  flat.
Qed.

Lemma split_app (l m a b : list nat) x : l ++ m = a ++ x :: b ->
  (exists c, l = a ++ x :: c /\ b = c ++ m) \/ (exists c, m = c ++ x :: b /\ a = l ++ c).
Proof.
  revert a. induction l as [|y l IH]; intros [|z a] E; simpl in *.
  - right. exists []. auto.
  - right. exists (z :: a). auto.
  - left. injection E as -> <-. exists l. auto.
  - injection E as -> E. destruct (IH a E) as [(c & -> & ->)|(c & -> & ->)]; eauto.
Qed.

(* What comes in between changes no order. *)
Lemma before_insert a b l m n : before a b (l ++ m) -> before a b (l ++ n :: m).
Proof.
  intros (l1 & l2 & l3 & E). apply split_app in E as [(c & -> & E)|(c & -> & ->)].
  - symmetry in E. apply split_app in E as [(d & -> & ->)|(d & -> & ->)].
    + exists l1, (l2), (d ++ n :: m). flat.
    + exists l1, (c ++ n :: d), l3. flat.
  - exists (l ++ n :: c), l2, l3. flat.
Qed.

Lemma unique_place (l m l' m' : list nat) q :
  NoDup (l ++ q :: m) -> l ++ q :: m = l' ++ q :: m' -> l = l'.
Proof.
  intros N E. apply split_app in E as [(c & -> & ->)|(c & E & ->)].
  - exfalso. rewrite <- app_assoc in N. simpl in N. apply NoDup_remove_2 in N.
    apply N. rewrite ?in_app_iff. simpl. rewrite ?in_app_iff. simpl. tauto.
  - destruct c as [|y c]; [now rewrite app_nil_r|]. injection E as <- ->.
    exfalso. apply NoDup_remove_2 in N. apply N. rewrite ?in_app_iff. simpl. rewrite ?in_app_iff. simpl. tauto.
Qed.

(* Rule C4: the latest packet that conflicts with b and one before it that does
   conflict with each other, if the former is of b's flow. *)
Lemma conflict_chain a q b f :
  conflict a b -> id q = OfFlow f -> id b = OfFlow f -> conflict a q.
Proof. unfold conflict. intros C -> E. rewrite E in C. exact C. Qed.

(* Conflicting packets leave in the order in which they came. With InOrder every
   packet is ordered. With Reorder those of UDP and those without a flow are. *)
Theorem order_kept n s a b :
  placed n s -> a < b -> b < n -> conflict a b -> ordered a -> ordered b ->
  before a b (leaving s).
Proof.
  intros P. revert a b.
  induction P as [|n s P IH|n l x r q f P IH Iq L Fq Fn|n l x r P IH U|n l x r P IH U];
    intros a b Hab Hb C Oa Ob; [lia|..].
  - unfold leaving. rewrite concat_app. simpl.
    destruct (Nat.eq_dec b n) as [->|]; [|apply before_more, IH; auto; lia].
    apply before_in, (leaving_in n s); auto.
  - rewrite leaving_middle in *. rewrite <- app_assoc. simpl.
    destruct (Nat.eq_dec b n) as [->|].
    + rewrite (app_assoc (leaving l)). destruct L as (Lq & _ & Last).
      enough (In a (leaving l ++ x)) as H.
      { apply (before_in a n) in H. apply (before_more _ _ _ (leaving r)) in H.
        now rewrite <- app_assoc in H. }
      assert (a = q \/ a < q) as [-> | Haq].
      { destruct (lt_eq_lt_dec a q) as [[?|?]|?]; auto. exfalso. exact (Last a l0 Hab C). }
      { apply in_app_iff. auto. }
      assert (before a q (leaving (l ++ x :: r))) as (l1 & l2 & l3 & E).
      { rewrite leaving_middle. apply IH; auto; [|unfold ordered in *; now rewrite Fq, Fn in *].
        exact (conflict_chain a q n f C Fq Fn). }
      pose proof (leaving_once _ _ P) as N. rewrite leaving_middle in E, N.
      apply in_split in Iq as (x1 & x2 & ->).
      rewrite <- app_assoc, <- app_comm_cons, app_assoc in E, N.
      replace (l1 ++ a :: l2 ++ q :: l3) with ((l1 ++ a :: l2) ++ q :: l3) in E
        by now rewrite <- app_assoc.
      apply (unique_place _ _ _ _ _ N) in E.
      rewrite app_assoc, E. rewrite !in_app_iff. simpl. auto.
    + rewrite app_assoc. apply before_insert. rewrite <- app_assoc. apply IH; auto; lia.
  - rewrite leaving_middle in *. rewrite <- app_assoc. simpl.
    destruct (Nat.eq_dec b n) as [->|]; [contradiction|].
    rewrite app_assoc. apply before_insert. rewrite <- app_assoc. apply IH; auto; lia.
  - rewrite leaving_middle in *. simpl.
    destruct (Nat.eq_dec b n) as [->|]; [contradiction|].
    apply before_insert. apply IH; auto; lia.
Qed.

End Order.

(* InOrder: every flow is ordered. *)
Corollary in_order (Flow Pair : Type) (pairOf : Flow -> Pair) id n s a b :
  placed Flow Pair pairOf id (fun _ => True) n s ->
  a < b -> b < n -> conflict Flow Pair pairOf id a b -> before a b (leaving s).
Proof.
  intros P Hab Hb C. apply (order_kept Flow Pair pairOf id _ n s a b P Hab Hb C);
    unfold ordered; [destruct (id a)|destruct (id b)]; exact I.
Qed.

(* It is possible: two packets of a flow in one superpacket. *)
Example not_vacuous :
  placed nat nat (fun f => f) (fun _ => OfFlow nat nat 0) (fun _ => True) 2 [[0; 1]].
Proof.
  apply (follows _ _ _ _ _ 1 [] [0] [] 0 0); simpl; auto.
  - apply (opens _ _ _ _ _ 0 []). constructor.
  - repeat split; auto. intros r H1 H2. lia.
Qed.
