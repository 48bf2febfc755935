const answer = await fetch("GATEWAY/v1/tasks/MODEL", {
  method: "POST",
  headers: {
    Authorization: `Bearer ${process.env.TORCHMESH_KEY}`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify({ inputs: ["You have won a prize, click here now!"] }),
});
console.log((await answer.json()).outputs[0]);
