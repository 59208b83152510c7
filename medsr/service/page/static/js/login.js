// Signing in: the key goes out once, in the body of a POST, and a session cookie comes back.

import { call } from "./api.js";

const form = document.getElementById("login");
const key = document.getElementById("key");
const fault = document.getElementById("login-fault");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fault.textContent = "";
  const secret = key.value.trim();
  if (!secret) {
    fault.textContent = "Give a key.";
    key.focus();
    return;
  }
  try {
    await call("POST", "/v1/session", { json: { key: secret } });
    key.value = "";
    location.assign("/review");
  } catch (refused) {
    fault.textContent = refused.status === 401 ? "This key is not known, has expired or may not review." : refused.message;
    key.select();
  }
});
key.focus();
