// A processing element of an output-stationary array: operands move right and down, the sum stays until its fold ends.
//
// How it leaves (SHIFT_OUT): 0, over a bus, from where it is; 1, down; 2, to the right. DOUBLE_BUFFERED, it is captured
// in a shadow register behind the wave, and the shadow registers of a column (or row) are a shift register whose hops
// take as long as the wave's own, so that they shift in step without any control. Otherwise the sums' own registers
// become the shift register while `shift` is high.
module sa_pe_result_stays #(
    parameter int MOVING_BITS = 8,
    parameter bit MOVING_SIGNED = 1'b1,
    parameter int OTHER_BITS = 8,
    parameter bit OTHER_SIGNED = 1'b1,
    parameter bit XNOR = 1'b0,
    parameter int SUM_BITS = 32,
    parameter bit SATURATE = 1'b0,
    parameter bit EXACT = 1'b0,            // no sum can overflow
    parameter bit DOUBLE_BUFFERED = 1'b1,
    parameter int SHIFT_OUT = 1,
    parameter bit PRELOAD = 1'b0,          // a fold starts from a sum that was loaded, not from 0
    parameter int ROW_STEP = 1,
    parameter int COLUMN_STEP = 1,
    parameter int MULTIPLIER_LATENCY = 0,
    parameter int ACCUMULATE_LATENCY = 0
) (
    input  wire                           clk,
    input  wire                           reset,
    // To the right, {bank, last, first} with the operand: its fold's first one, its last one, the bank of initial sums.
    input  wire        [ MOVING_BITS-1:0] moving_in,
    input  wire        [             2:0] control_in,
    output wire        [ MOVING_BITS-1:0] moving_out,
    output wire        [             2:0] control_out,
    // Down.
    input  wire        [  OTHER_BITS-1:0] other_in,
    output wire        [  OTHER_BITS-1:0] other_out,
    input  wire        [    SUM_BITS-1:0] initial_in,
    input  wire        [             1:0] load_in,
    output wire        [    SUM_BITS-1:0] initial_out,
    output wire        [             1:0] load_out,
    // Down or to the right: results on their way out.
    input  wire                           shift,
    input  wire signed [    SUM_BITS-1:0] result_in,
    output wire signed [    SUM_BITS-1:0] result_out,
    output wire                           overflow    // of the addition one clock ago
);
    wire signed [SUM_BITS-1:0] product;
    sa_multiply #(
        .A_BITS  (MOVING_BITS),
        .A_SIGNED(MOVING_SIGNED),
        .B_BITS  (OTHER_BITS),
        .B_SIGNED(OTHER_SIGNED),
        .XNOR    (XNOR),
        .SUM_BITS(SUM_BITS),
        .LATENCY (MULTIPLIER_LATENCY)
    ) multiplier (
        .clk    (clk),
        .a      (moving_in),
        .b      (other_in),
        .product(product)
    );
    wire bank, last, first;
    sa_delay #(
        .BITS  (3),
        .CYCLES(MULTIPLIER_LATENCY)
    ) control (
        .clk(clk),
        .in (control_in),
        .out({bank, last, first})
    );

    // The sum, and the pipeline registers behind the adder; the last of them all is where a result is taken from.
    logic signed [SUM_BITS-1:0] sum;
    wire signed [SUM_BITS-1:0] initial_sum, total, settled;
    wire lost;
    sa_add #(
        .BITS    (SUM_BITS),
        .SATURATE(SATURATE),
        .EXACT   (EXACT)
    ) adder (
        .a       (first ? initial_sum : sum),
        .b       (product),
        .sum     (total),
        .overflow(lost)
    );
    localparam bit SHIFTS_IN_PLACE = !DOUBLE_BUFFERED && SHIFT_OUT != 0;
    generate
        if (SHIFTS_IN_PLACE && ACCUMULATE_LATENCY == 0) begin : g_sum_shifts
            always_ff @(posedge clk) sum <= reset ? '0 : shift ? result_in : total;
            assign settled = sum;
        end else begin : g_sum
            always_ff @(posedge clk) sum <= reset ? '0 : total;
            if (SHIFTS_IN_PLACE) begin : g_pipeline_shifts
                wire signed [SUM_BITS-1:0] delayed;
                logic signed [SUM_BITS-1:0] final_sum;
                sa_delay #(
                    .BITS  (SUM_BITS),
                    .CYCLES(ACCUMULATE_LATENCY - 1)
                ) pipeline (
                    .clk(clk),
                    .in (sum),
                    .out(delayed)
                );
                always_ff @(posedge clk) final_sum <= shift ? result_in : delayed;
                assign settled = final_sum;
            end else begin : g_pipeline
                wire unused_shift = shift;
                sa_delay #(
                    .BITS  (SUM_BITS),
                    .CYCLES(ACCUMULATE_LATENCY)
                ) pipeline (
                    .clk(clk),
                    .in (sum),
                    .out(settled)
                );
            end
        end

        if (DOUBLE_BUFFERED && SHIFT_OUT != 0) begin : g_shadow
            wire captures;
            sa_delay #(
                .BITS  (1),
                .CYCLES(ACCUMULATE_LATENCY + 1)
            ) until_settled (
                .clk(clk),
                .in (last),
                .out(captures)
            );
            wire signed [SUM_BITS-1:0] passing;
            sa_delay #(
                .BITS  (SUM_BITS),
                .CYCLES(SHIFT_OUT == 1 ? ROW_STEP : COLUMN_STEP)
            ) hop (
                .clk(clk),
                .in (result_in),
                .out(passing)
            );
            logic signed [SUM_BITS-1:0] shadow;
            always_ff @(posedge clk) shadow <= captures ? settled : passing;
            assign result_out = shadow;
        end else begin : g_in_place
            wire unused_last = last;
            wire unused_result = &{1'b0, result_in};
            assign result_out = settled;
        end

        if (PRELOAD) begin : g_preload
            sa_stationary #(
                .BITS           (SUM_BITS),
                .DOUBLE_BUFFERED(DOUBLE_BUFFERED),
                .DOWN           (ROW_STEP)
            ) preloaded (
                .clk     (clk),
                .reset   (reset),
                .in      (initial_in),
                .load_in (load_in),
                .select  (bank),
                .out     (initial_out),
                .load_out(load_out),
                .held    (initial_sum)
            );
        end else begin : g_zero
            wire unused_bank = bank;
            assign initial_out = initial_in;
            assign load_out = load_in;
            assign initial_sum = '0;
        end

        if (EXACT) begin : g_exact
            assign overflow = lost;
        end else begin : g_flag
            logic flag;
            always_ff @(posedge clk) flag <= lost;
            assign overflow = flag;
        end
    endgenerate

    sa_delay #(
        .BITS  (MOVING_BITS + 3),
        .CYCLES(COLUMN_STEP)
    ) right (
        .clk(clk),
        .in ({control_in, moving_in}),
        .out({control_out, moving_out})
    );
    sa_delay #(
        .BITS  (OTHER_BITS),
        .CYCLES(ROW_STEP)
    ) down (
        .clk(clk),
        .in (other_in),
        .out(other_out)
    );
endmodule
