// The user who is logged in.
import { signal } from "@preact/signals";
import type { WhoAmIResponse } from "../api/contract";

export const user = signal<WhoAmIResponse | null>(null);
