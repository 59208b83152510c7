// Every page of a signed-in reader: signing out.

import { call, complain } from "./api.js";

const button = document.getElementById("sign-out");
button?.addEventListener("click", async () => {
  try {
    await call("DELETE", "/v1/session");
    location.assign("/review/login");
  } catch (fault) {
    complain(fault.message);
  }
});
